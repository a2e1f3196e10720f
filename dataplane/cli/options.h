// Options whose values are parsed by functions of arguments.h: a wrong one is refused with its
// reason before anything runs.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <type_traits>
#include <utility>

#include "dataplane/cli/context.h"

namespace penstock::cli {

// Adds an option ("--name") or a positional ("name"): `parse` turns its text into a Result, `set`
// takes the value.
template <typename Parse, typename Set>
CLI::Option* AddParsed(CLI::App* app, const std::string& name, const std::string& type,
                       const std::string& help, Parse parse, Set set) {
  return app
      ->add_option_function<std::string>(
          name, [parse, set](const std::string& text) { set(*parse(text)); }, help)
      ->check(CLI::Validator(
          [parse](const std::string& text) -> std::string {
            const auto value = parse(text);
            return value ? "" : value.error().message;
          },
          "", ""))
      ->type_name(type);
}

template <typename Set>
CLI::Option* AddText(CLI::App* app, const std::string& name, const std::string& type,
                     const std::string& help, Set set) {
  return app
      ->add_option_function<std::string>(
          name, [set](const std::string& text) { set(text); }, help)
      ->type_name(type);
}

// A repeatable option; each time it takes one value.
template <typename Parse, typename Add>
CLI::Option* AddParsedList(CLI::App* app, const std::string& name, const std::string& type,
                           const std::string& help, Parse parse, Add add) {
  return app
      ->add_option_function<std::vector<std::string>>(
          name,
          [parse, add](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              add(*parse(text));
            }
          },
          help)
      ->allow_extra_args(false)
      ->check(CLI::Validator(
          [parse](const std::string& text) -> std::string {
            const auto value = parse(text);
            return value ? "" : value.error().message;
          },
          "", ""))
      ->type_name(type);
}

// One of several words.
CLI::Option* AddChoice(CLI::App* app, const std::string& name, const std::string& type,
                       const std::string& help, const std::vector<std::string>& words,
                       std::function<void(const std::string&)> set);

// The examples below a command's help.
void AddExamples(CLI::App* app, const std::vector<std::string>& examples);

}  // namespace penstock::cli
