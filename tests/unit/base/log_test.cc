#include "dataplane/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace penstock {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override {
    EXPECT_TRUE(ConfigureLog({}));
    std::filesystem::remove(file_);
  }
  std::string Content() const {
    std::ifstream file(file_);
    std::stringstream content;
    content << file.rdbuf();
    return content.str();
  }

  const std::string file_ = ::testing::TempDir() + "log_test." + std::to_string(getpid());
};

TEST_F(LogTest, GivesOneLoggerAnArea) {
  EXPECT_EQ(&Log("ports"), &Log("ports"));
  EXPECT_NE(&Log("ports"), &Log("sa"));
}

TEST_F(LogTest, WritesToAFileWithAreaAndLevelAndWithoutColours) {
  spdlog::logger& early = Log("early");  // made before the configuration comes
  ASSERT_TRUE(ConfigureLog({.level = "info", .file = file_}));
  early.info("started with {} ports", 2);
  Log("late").warn("link down");
  EXPECT_THAT(Content(), HasSubstr("info early: started with 2 ports\n"));
  EXPECT_THAT(Content(), HasSubstr("warning late: link down\n"));
  EXPECT_THAT(Content(), Not(HasSubstr("\x1b")));
}

TEST_F(LogTest, LeavesOutWhatIsBelowItsLevel) {
  ASSERT_TRUE(ConfigureLog({.level = "warning", .file = file_}));
  Log("sa").info("not this");
  Log("sa").error("but this");
  EXPECT_THAT(Content(), Not(HasSubstr("not this")));
  EXPECT_THAT(Content(), HasSubstr("but this"));
}

TEST_F(LogTest, SaysWhichLevelsThereAre) {
  Status status = ConfigureLog({.level = "loud", .file = ""});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(status.error().message,
            "log level \"loud\" is unknown; expected trace, debug, info, warning or error");
}

TEST_F(LogTest, SaysWhichFileCannotBeWritten) {
  Status status = ConfigureLog({.level = "info", .file = ::testing::TempDir()});
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("log file " + ::testing::TempDir()));
}

TEST_F(LogTest, ChangesLevelsWhileRunning) {
  Log("one");
  ASSERT_TRUE(SetLogLevel("debug", "one"));
  EXPECT_EQ(Log("one").level(), spdlog::level::debug);
  ASSERT_TRUE(SetLogLevel("error", ""));
  EXPECT_EQ(Log("one").level(), spdlog::level::err);
  EXPECT_EQ(Log("an area to come").level(), spdlog::level::err);
  ASSERT_TRUE(SetLogLevel("info", ""));
}

TEST_F(LogTest, RefusesToSetUnknownLevelsAndAreas) {
  EXPECT_EQ(SetLogLevel("loud", "").error().code, Errc::kInvalidArgument);
  const Status unknown = SetLogLevel("info", "nowhere");
  EXPECT_EQ(unknown.error().code, Errc::kNotFound);
  EXPECT_NE(unknown.error().message.find("no area \"nowhere\""), std::string::npos);
}

}  // namespace
}  // namespace penstock
