// What is wrong with a configuration, and where: fields are tied to the places in the YAML text
// that they came from.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "config/load.h"

namespace penstock::config {

class Problems {
 public:
  struct Place {
    int line = 0;
    int column = 0;
  };
  // Remembers where a field stands, e.g. "ports[0].mtu".
  void SetPlace(const std::string& field, Place place) { places_[field] = place; }

  // Adds a problem at the field's place, or at the nearest enclosing field that stands in the text.
  template <typename... Args>
  void Add(const std::string& field, fmt::format_string<Args...> format, Args&&... args) {
    const Place place = FindPlace(field);
    list_.push_back(
        {place.line, place.column, field, fmt::format(format, std::forward<Args>(args)...)});
  }

  bool empty() const { return list_.empty(); }
  // In the order of the text.
  std::vector<Problem> Take();

 private:
  Place FindPlace(std::string field) const;

  std::map<std::string, Place> places_;
  std::vector<Problem> list_;
};

}  // namespace penstock::config
