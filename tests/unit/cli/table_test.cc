#include "dataplane/cli/table.h"

#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

Table Sample() {
  Table table(
      {{"NAME"}, {"PACKETS", Align::kRight}, {"NOTE", Align::kLeft, 1}, {"MORE", Align::kLeft, 2}});
  table.Add({"tun1", "5", "short", "x"});
  table.Add({"a-long-name", "1.23 M", "", "yy"});
  return table;
}

TEST(TableTest, AlignsColumnsAndLeavesNoBlanksAtTheEnd) {
  EXPECT_EQ(Sample().Render({}),
            "NAME         PACKETS  NOTE   MORE\n"
            "tun1               5  short  x\n"
            "a-long-name   1.23 M  -      yy\n");
}

TEST(TableTest, LeavesOutColumnsOfTheHighestRankOnANarrowTerminal) {
  EXPECT_EQ(Sample().Render({.width = 32}),
            "NAME         PACKETS  NOTE\n"
            "tun1               5  short\n"
            "a-long-name   1.23 M  -\n"
            "(1 more column in a wider window)\n");
}

TEST(TableTest, LeavesOutColumnsOfOneRankTogether) {
  Table table({{"A"}, {"IN", Align::kRight, 1}, {"OUT", Align::kRight, 1}});
  table.Add({"a", "1", "2"});
  EXPECT_EQ(table.Render({.width = 6}), "A\na\n(2 more columns in a wider window)\n");
}

TEST(TableTest, KeepsColumnsOfRankZeroHoweverNarrowItIs) {
  EXPECT_EQ(Sample().Render({.width = 5}),
            "NAME         PACKETS\n"
            "tun1               5\n"
            "a-long-name   1.23 M\n"
            "(2 more columns in a wider window)\n");
}

TEST(TableTest, ColorsDoNotDisturbTheAlignment) {
  Table table({{"STATE"}, {"N", Align::kRight}});
  table.Add({{"up", Color::kGood}, "1"});
  EXPECT_EQ(table.Render({.color = true}),
            "\x1b[1mSTATE\x1b[0m  \x1b[1mN\x1b[0m\n"
            "\x1b[32mup   \x1b[0m  1\n");
}

TEST(TableTest, PaintsNothingWithoutColors) {
  EXPECT_EQ(Paint("text", Color::kBad, {}), "text");
  EXPECT_EQ(Paint("", Color::kBad, {.color = true}), "");
}

TEST(BlockTest, AlignsTheValues) {
  Block block;
  block.Add("a", "1");
  block.Add("longer", "");
  EXPECT_EQ(block.Render({}), "a       1\nlonger  -\n");
}

}  // namespace
}  // namespace penstock::cli
