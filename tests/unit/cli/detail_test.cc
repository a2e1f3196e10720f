#include "dataplane/cli/detail.h"

#include <gtest/gtest.h>

#include "config/control.pb.h"

namespace penstock::cli {
namespace {

TEST(DetailTest, PrintsABlockForEachRowWithReadableUnits) {
  control::Sas sas;
  control::Sa* sa = sas.add_sas();
  sa->set_name("first");
  sa->set_spi(0x1001);
  sa->set_bytes(1500);
  sa->set_age_seconds(61);
  sa->mutable_lifetime()->set_hard_seconds(3600);
  sa->mutable_lifetime()->set_hard_bytes(2'000'000);
  sas.add_sas()->set_name("second");
  sas.set_timestamp_microseconds(99);
  EXPECT_EQ(DetailText(sas, {}),
            "name                 first\n"
            "spi                  0x00001001\n"
            "age                  00:01:01\n"
            "bytes                1500\n"
            "lifetime hard bytes  2.00 MB\n"
            "lifetime hard time   01:00:00\n"
            "\n"
            "name  second\n");
}

TEST(DetailTest, PrintsTheKeyOfARowAlsoIfItIsZero) {
  control::Workers workers;
  workers.add_workers()->set_polls(5);
  EXPECT_EQ(DetailText(workers, {}), "id     0\npolls  5\n");
}

TEST(DetailTest, PrintsNextHopsOnOneLineEach) {
  control::Routes routes;
  control::NextHop* hop = routes.add_routes()->add_next_hops();
  hop->set_tunnel("tun1");
  hop->set_weight(2);
  EXPECT_EQ(DetailText(routes, {}), "prefix     -\nnext hops  tunnel tun1 weight 2 (dead)\n");
}

}  // namespace
}  // namespace penstock::cli
