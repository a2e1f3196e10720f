#include "ike_bridge/policy_references.h"

#include <gtest/gtest.h>

#include "tests/unit/ike_bridge/examples.h"
#include "tests/unit/ike_bridge/fake_sink.h"

namespace penstock {
namespace {

class PolicyReferencesTest : public ::testing::Test {
 protected:
  FakeSink sink_;
  PolicyReferences policies_{sink_};
  const ike::PolicyId id_ = ExamplePolicy().id;
};

TEST_F(PolicyReferencesTest, KeepsAPolicyThroughARekey) {
  ASSERT_TRUE(policies_.Add(ExamplePolicy(), this));
  ASSERT_TRUE(policies_.Add(ExamplePolicy(), this));  // of the new SA
  ASSERT_TRUE(policies_.Delete(ExamplePolicy()));     // of the old one
  EXPECT_EQ(sink_.policy_changes, 1);
  EXPECT_EQ(sink_.policies.size(), 1u);
  ASSERT_TRUE(policies_.Delete(ExamplePolicy()));
  EXPECT_TRUE(sink_.policies.empty());
}

TEST_F(PolicyReferencesTest, TheLastAdditionIsInForceAndTheOneBeforeComesBack) {
  ASSERT_TRUE(policies_.Add(ExamplePolicy(1), this));
  ASSERT_TRUE(policies_.Add(ExamplePolicy(2), this));
  EXPECT_EQ(sink_.policies[id_].reqid, 2u);
  ASSERT_TRUE(policies_.Delete(ExamplePolicy(2)));
  EXPECT_EQ(sink_.policies[id_].reqid, 1u);
}

TEST_F(PolicyReferencesTest, TakingBackAnOlderOneChangesNothing) {
  ASSERT_TRUE(policies_.Add(ExamplePolicy(1), this));
  ASSERT_TRUE(policies_.Add(ExamplePolicy(2), this));
  ASSERT_TRUE(policies_.Delete(ExamplePolicy(1)));
  EXPECT_EQ(sink_.policy_changes, 2);
  EXPECT_EQ(sink_.policies[id_].reqid, 2u);
}

TEST_F(PolicyReferencesTest, RefusesToDeleteWhatWasNotAdded) {
  EXPECT_EQ(policies_.Delete(ExamplePolicy()).error().code, Errc::kNotFound);
  ASSERT_TRUE(policies_.Add(ExamplePolicy(1), this));
  EXPECT_EQ(policies_.Delete(ExamplePolicy(2)).error().code, Errc::kNotFound);
  EXPECT_EQ(sink_.policies.size(), 1u);
}

TEST_F(PolicyReferencesTest, CountsNothingThatTheGatewayRefused) {
  sink_.next_answer = Fail(Errc::kExhausted, "full");
  EXPECT_EQ(policies_.Add(ExamplePolicy(), this).error().message, "full");
  sink_.next_answer = {};
  EXPECT_EQ(policies_.Delete(ExamplePolicy()).error().code, Errc::kNotFound);

  ASSERT_TRUE(policies_.Add(ExamplePolicy(1), this));
  ASSERT_TRUE(policies_.Add(ExamplePolicy(2), this));
  sink_.next_answer = Fail(Errc::kExhausted, "full");
  EXPECT_FALSE(policies_.Delete(ExamplePolicy(2)));
  sink_.next_answer = {};
  EXPECT_TRUE(policies_.Delete(ExamplePolicy(2)));
  EXPECT_EQ(sink_.policies[id_].reqid, 1u);
}

TEST_F(PolicyReferencesTest, ForgetsAllWhenFlushed) {
  ASSERT_TRUE(policies_.Add(ExamplePolicy(), this));
  ASSERT_TRUE(policies_.Flush());
  EXPECT_EQ(policies_.Delete(ExamplePolicy()).error().code, Errc::kNotFound);
}

TEST_F(PolicyReferencesTest, ADaemonThatIsStartedAnewDoesNotDeleteForItsPredecessor) {
  const int before = 0, after = 0;
  ASSERT_TRUE(policies_.Add(ExamplePolicy(), &before));
  ASSERT_TRUE(policies_.Add(ExamplePolicy(), &before));
  policies_.Disown(&before);
  ASSERT_TRUE(policies_.Add(ExamplePolicy(), &after));
  EXPECT_EQ(sink_.policy_changes, 1);  // it has been in force all the time
  ASSERT_TRUE(policies_.Delete(ExamplePolicy()));
  EXPECT_TRUE(sink_.policies.empty());
}

TEST_F(PolicyReferencesTest, WhatAClientLeavesBehindCanBeDeletedByAnother) {
  const int before = 0;
  ASSERT_TRUE(policies_.Add(ExamplePolicy(), &before));
  policies_.Disown(&before);
  ASSERT_TRUE(policies_.Delete(ExamplePolicy()));
  EXPECT_TRUE(sink_.policies.empty());
}

}  // namespace
}  // namespace penstock
