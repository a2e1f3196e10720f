#include "config/load.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>

#include "config/problems.h"
#include "config/validate.h"

namespace penstock::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Levenshtein's distance, for "did you mean".
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1] ? 1u : 0u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string KnownFields(const Descriptor& descriptor, const std::string& wrong) {
  std::string nearest;
  size_t distance = 3;  // further away than two letters is no misspelling
  std::string all;
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const std::string& name = descriptor.field(i)->name();
    all += (all.empty() ? "" : ", ") + name;
    if (const size_t d = EditDistance(name, wrong); d < distance) {
      distance = d;
      nearest = name;
    }
  }
  return nearest.empty() ? "known here: " + all : "did you mean '" + nearest + "'?";
}

const char* KindOf(const YAML::Node& node) {
  return node.IsMap()        ? "a map"
         : node.IsSequence() ? "a list"
         : node.IsNull()     ? "nothing"
                             : "a value";
}

// Walks YAML and message together.
class Loader {
 public:
  explicit Loader(Problems& problems) : problems_(problems) {}

  void LoadMap(const YAML::Node& node, const std::string& path, Message& message) {
    if (!node.IsMap()) {
      problems_.Add(path, "{} stands here; expected a map of fields ('name: value' lines)",
                    KindOf(node));
      return;
    }
    std::set<std::string> seen;
    for (const auto& item : node) {
      const std::string key = item.first.IsScalar() ? item.first.Scalar() : "?";
      const std::string field_path = path.empty() ? key : path + "." + key;
      Place(field_path, item.first);
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(key);
      if (field == nullptr) {
        problems_.Add(field_path, "unknown field '{}'; {}", key,
                      KnownFields(*message.GetDescriptor(), key));
      } else if (!seen.insert(key).second) {
        problems_.Add(field_path, "stands here a second time; keep one of them");
      } else if (item.second.IsNull()) {
        Touch(message, *field);
      } else {
        LoadField(item.second, field_path, message, *field);
      }
    }
  }

 private:
  void Place(const std::string& path, const YAML::Node& node) {
    problems_.SetPlace(path, {node.Mark().line + 1, node.Mark().column + 1});
  }

  // A section that is there but empty counts as there.
  static void Touch(Message& message, const FieldDescriptor& field) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated()) {
      (void)message.GetReflection()->MutableMessage(&message, &field);
    }
  }

  void LoadField(const YAML::Node& node, const std::string& path, Message& message,
                 const FieldDescriptor& field) {
    if (!field.is_repeated()) {
      LoadValue(node, path, message, field);
      return;
    }
    if (!node.IsSequence()) {
      problems_.Add(path, "{} stands here; expected a list ('- item' lines or [a, b])",
                    KindOf(node));
      return;
    }
    for (size_t i = 0; i < node.size(); ++i) {
      const std::string item_path = fmt::format("{}[{}]", path, i);
      Place(item_path, node[i]);
      LoadValue(node[i], item_path, message, field);
    }
  }

  void LoadValue(const YAML::Node& node, const std::string& path, Message& message,
                 const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message* child = field.is_repeated() ? reflection.AddMessage(&message, &field)
                                           : reflection.MutableMessage(&message, &field);
      LoadMap(node, path, *child);
      return;
    }
    if (!node.IsScalar()) {
      problems_.Add(path, "{} stands here; expected one value", KindOf(node));
      return;
    }
    const std::string& text = node.Scalar();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        field.is_repeated() ? reflection.AddString(&message, &field, text)
                            : reflection.SetString(&message, &field, text);
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        SetNumber(text, path, message, field);
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        SetBool(text, path, message, field);
        break;
      default:
        PENSTOCK_CHECK(field.cpp_type() ==
                       FieldDescriptor::CPPTYPE_STRING);  // no other type in use
    }
  }

  void SetNumber(const std::string& text, const std::string& path, Message& message,
                 const FieldDescriptor& field) {
    uint32_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) {
      problems_.Add(path, "'{}' is not a whole number from 0 to 4294967295", text);
    } else if (field.is_repeated()) {
      message.GetReflection()->AddUInt32(&message, &field, value);
    } else {
      message.GetReflection()->SetUInt32(&message, &field, value);
    }
  }

  void SetBool(const std::string& text, const std::string& path, Message& message,
               const FieldDescriptor& field) {
    if (text != "true" && text != "false") {
      problems_.Add(path, "'{}' is neither true nor false", text);
      return;
    }
    message.GetReflection()->SetBool(&message, &field, text == "true");
  }

  Problems& problems_;
};

// Notes where a document starts, and nothing else of it.
class DocumentStart : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { mark_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
  const YAML::Mark& mark() const { return mark_; }

 private:
  YAML::Mark mark_;
};

// yaml-cpp reports by exceptions; they end here. Load ignores what follows the first document, and
// LoadAll of yaml-cpp 0.7 never returns on some malformed ends; so the parser is asked for a second
// document once.
std::optional<YAML::Node> ParseYaml(const std::string& text, Problems& problems) {
  try {
    std::stringstream stream(text);
    YAML::Parser parser(stream);
    DocumentStart document;
    if (parser.HandleNextDocument(document) && parser.HandleNextDocument(document)) {
      problems.SetPlace("(yaml)", {document.mark().line + 1, document.mark().column + 1});
      problems.Add("(yaml)",
                   "something follows the end of the document; expected one document, and every "
                   "bracket closed once");
      return std::nullopt;
    }
    return YAML::Load(text);
  } catch (const YAML::Exception& exception) {
    problems.SetPlace("(yaml)", {exception.mark.line + 1, exception.mark.column + 1});
    problems.Add("(yaml)", "{}", exception.msg);
    return std::nullopt;
  }
}

}  // namespace

Loaded LoadText(const std::string& text) {
  Loaded loaded;
  Problems problems;
  if (const auto root = ParseYaml(text, problems); root.has_value()) {
    if (root->IsDefined() && !root->IsNull()) {
      Loader(problems).LoadMap(*root, "", loaded.gateway);
    }
    FillDefaults(loaded.gateway);
    Validate(loaded.gateway, problems);
  }
  loaded.problems = problems.Take();
  return loaded;
}

Result<Gateway> LoadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) {
    return Fail(Errc::kNotFound, "{}: cannot be read; name a YAML file with --config FILE", path);
  }
  Loaded loaded = LoadText(text.str());
  if (!loaded.problems.empty()) {
    return Fail(Errc::kInvalidArgument, "{}", FormatProblems(path, loaded.problems));
  }
  return std::move(loaded.gateway);
}

}  // namespace penstock::config
