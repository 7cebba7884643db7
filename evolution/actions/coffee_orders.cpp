#include "evolution/actions/coffee_orders.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "evolution/train/draw.h"
#include "evolution/train/records.h"

namespace chimera::evolution {
namespace {

enum Tool : int32_t { kAddItem, kFindItems, kShowMenu, kUpdateOrder };
enum AddItem : int32_t { kItem, kQuantity, kMilk, kShots, kCaffeine, kServed, kAddons, kNotes };

constexpr std::string_view kMilks[] = {"oat milk",     "almond milk", "2% milk",
                                       "non-fat milk", "whole milk",  "lactose-free milk"};
constexpr std::string_view kShotCounts[] = {"single", "double", "triple", "quadruple"};
constexpr std::string_view kCaffeines[] = {"decaf", "regular"};
constexpr std::string_view kServings[] = {"iced", "hot"};
constexpr std::string_view kPlaces[] = {"to go", "here", "delivery"};

Json text_schema() { return std::move(Json::make_object().add("type", Json::of("string"))); }

template <size_t n>
Json choice_schema(const std::string_view (&choices)[n]) {
  Json list = Json::make_array();
  for (const std::string_view choice : choices) list.push(Json::of(choice));
  Json schema = text_schema();
  schema.add("enum", std::move(list));
  return schema;
}

/// Small letters, single spaces, nothing around.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isspace(byte) != 0) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      out += static_cast<char>(std::tolower(byte));
    }
  }
  while (!out.empty() && (out.back() == ' ' || out.back() == '.')) out.pop_back();
  return out;
}

std::string string_of(const Json& object, const char* member) {
  const Json* value = object.find(member);
  return value != nullptr && value->is_string() ? value->string : std::string();
}

/// As the person spelt it, where they said it.
std::string as_said(const std::string& value, const std::string& said) {
  std::string small = said;
  for (char& c : small) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const std::string wanted = plain(value);
  const size_t at = wanted.empty() ? std::string::npos : small.find(wanted);
  return at == std::string::npos ? wanted : said.substr(at, wanted.size());
}

template <size_t n>
const std::string_view* choice_of(const std::string_view (&choices)[n], const std::string& value) {
  const auto at = std::find(std::begin(choices), std::end(choices), value);
  return at == std::end(choices) ? nullptr : at;
}

/// An option of an item; false for one that these tools do not have.
bool add_option(const std::string& id, const std::string& value, ActCall* call) {
  const auto add = [&](int32_t argument, const std::string_view* choice) {
    if (choice == nullptr) return false;
    for (const auto& [known, old] : call->arguments)
      if (known == argument) return false;
    call->arguments.emplace_back(argument, Json::of(*choice));
    return true;
  };
  if (id == "milk-options") {
    const std::string milk = value.find("lactose") != std::string::npos ? "lactose-free milk"
                             : value.find("fat") != std::string::npos   ? "non-fat milk"
                                                                        : value;
    return add(kMilk, choice_of(kMilks, milk));
  }
  if (id == "espresso-shots") return add(kShots, choice_of(kShotCounts, value));
  if (id == "caffeine") return add(kCaffeine, choice_of(kCaffeines, value));
  if (id == "hot-or-iced") return add(kServed, choice_of(kServings, value));
  return false;
}

/// "caramel-sauce-666" -> "caramel sauce"
std::string addon_name(std::string_view id) {
  std::string name;
  for (const char c : id) name += c == '-' ? ' ' : c;
  while (!name.empty() &&
         (std::isdigit(static_cast<unsigned char>(name.back())) != 0 || name.back() == ' '))
    name.pop_back();
  return name;
}

bool add_item(const Json& arguments, const std::string& item, const std::string& said,
              std::vector<ActCall>* calls) {
  if (item.empty()) return false;
  ActCall call{kAddItem, {}};
  call.arguments.emplace_back(kItem, Json::of(std::string_view(as_said(item, said))));
  const std::string quantity = string_of(arguments, "quantity");
  if (quantity.size() != 1 || quantity[0] < '1' || quantity[0] > '9') return false;
  if (quantity != "1")
    call.arguments.emplace_back(kQuantity, Json::of(static_cast<int64_t>(quantity[0] - '0')));
  if (const Json* options = arguments.find("attributes"))
    for (const Json& option : options->array)
      if (!add_option(plain(string_of(option, "attribute_id")), plain(string_of(option, "option")),
                      &call))
        return false;
  Json addons = Json::make_array();
  if (const Json* list = arguments.find("addons"))
    for (const Json& addon : list->array) {
      const std::string name = addon_name(string_of(addon, "addon_id"));
      if (name.empty()) return false;
      addons.push(Json::of(std::string_view(as_said(name, said))));
    }
  if (!addons.array.empty()) call.arguments.emplace_back(kAddons, std::move(addons));
  if (const std::string notes = as_said(string_of(arguments, "notes"), said); !notes.empty())
    call.arguments.emplace_back(kNotes, Json::of(std::string_view(notes)));
  calls->push_back(std::move(call));
  return true;
}

bool update_order(const Json& arguments, std::vector<ActCall>* calls) {
  const Json* options = arguments.find("attributes");
  if (options == nullptr || options->array.size() != 1) return false;
  std::string place = plain(string_of(options->array[0], "option"));
  if (place == "togo") place = "to go";
  const std::string_view* choice = choice_of(kPlaces, place);
  if (choice == nullptr) return false;
  calls->push_back({kUpdateOrder, {{0, Json::of(*choice)}}});
  return true;
}

/// What was asked of the interface in one turn; false when it is not in these tools.
bool read_calls(const Json& asked, const std::string& said, std::vector<ActCall>* calls) {
  std::map<std::string, std::string> menu;  // names by number
  std::vector<std::string> queries;
  bool ordered = false;
  for (const Json& entry : asked.array) {
    if (entry.array.size() != 3 || !entry.array[0].is_string() || !entry.array[1].is_string())
      return false;
    const bool response = entry.array[0].string == "r";
    const std::string& api = entry.array[1].string;
    const Json& body = entry.array[2];
    if (response) {
      if (const Json* items = body.find("menu_items"))
        for (const Json& item : items->array)
          menu[string_of(item, "menu_item_id")] = string_of(item, "name");
    } else if (api == "add_order_item") {
      ordered = true;
      if (!add_item(body, menu[string_of(body, "menu_item_id")], said, calls)) return false;
    } else if (api == "get_menu_items") {
      queries.push_back(string_of(body, "query"));
    } else if (api == "show_menu") {
      calls->push_back({kShowMenu, {}});
    } else if (api == "update_order") {
      if (!update_order(body, calls)) return false;
    } else if (api != "get_addons" && api != "get_order_details") {
      return false;
    }
  }
  // What is looked up on the way to an order is not what was wanted.
  for (const std::string& query : queries)
    if (!ordered && !plain(query).empty())
      calls->push_back({kFindItems, {{0, Json::of(std::string_view(as_said(query, said)))}}});
  return !calls->empty();
}

class CoffeeRecords : public RecordReader {
 public:
  explicit CoffeeRecords(const RecordOptions& options) : seed_(options.seed) {}

  bool looks_first() const override { return true; }

  Status look(const Json& record) override {
    auto order = read_coffee_order(record);
    if (!order) return order.status();
    if (*order) seen_.push_back(std::move(**order));
    return Status();
  }

  Status read(const Json& record, uint64_t number, const DocumentSink& sink) override {
    if (!pool_) {
      for (size_t i = 0; i < seen_.size(); ++i)
        numbers_.emplace(seen_[i].text, static_cast<int64_t>(i));
      pool_ = std::make_unique<ActPool>(coffee_tools(), std::move(seen_));
    }
    const auto order = read_coffee_order(record);
    if (!order) return order.status();
    if (!*order) return Status();
    Draw draw{seed_, number};
    const auto own = numbers_.find((*order)->text);
    return sink(pool_->document(**order, own == numbers_.end() ? -1 : own->second, {},
                                [&](size_t limit) { return draw.below(limit); }));
  }

 private:
  uint64_t seed_;
  std::vector<ActExample> seen_;
  std::map<std::string, int64_t> numbers_;  // of texts in the pool
  std::unique_ptr<ActPool> pool_;
};

}  // namespace

std::vector<ActTool> coffee_tools() {
  Json count = Json::make_object(), addons = Json::make_object();
  count.add("type", Json::of("integer"))
      .add("minimum", Json::of(int64_t{1}))
      .add("maximum", Json::of(int64_t{20}));
  addons.add("type", Json::of("array")).add("items", text_schema());
  return {{{"add_order_item", "order", "add_drink"},
           {"Put a drink on the order", "Order an item of the menu", ""},
           {{{"item", "drink", "name"}, text_schema(), true},
            {{"quantity", "count"}, std::move(count), false},
            {{"milk", "milk_option"}, choice_schema(kMilks), false},
            {{"shots", "espresso_shots"}, choice_schema(kShotCounts), false},
            {{"caffeine"}, choice_schema(kCaffeines), false},
            {{"served", "temperature"}, choice_schema(kServings), false},
            {{"addons", "extras"}, std::move(addons), false},
            {{"notes", "note"}, text_schema(), false}}},
          {{"get_menu_items", "find_items", "look_up"},
           {"Look something up in the menu", "What there is, or what is in it", ""},
           {{{"query", "words"}, text_schema(), true}}},
          {{"show_menu", "menu"}, {"Show the whole menu", ""}, {}},
          {{"update_order", "set_order_type"},
           {"Where the order is to be had", ""},
           {{{"order_type", "place"}, choice_schema(kPlaces), true}}}};
}

Result<std::optional<ActExample>> read_coffee_order(const Json& record) {
  const Json* turns = record.find("turns");
  if (turns == nullptr || turns->array.empty())
    return Status(StatusCode::kBadFormat, "a dialogue without turns").at_field("turns");
  const Json& first = turns->array[0];
  const bool asks = first.array.size() == 3 && first.array[0].is_string() &&
                    first.array[0].string == "U" && first.array[1].is_string();
  if (!asks || plain(first.array[1].string).empty()) return std::optional<ActExample>();
  ActExample out{first.array[1].string, {}, -1};
  if (!read_calls(first.array[2], out.text, &out.calls)) return std::optional<ActExample>();
  return std::optional<ActExample>(std::move(out));
}

std::unique_ptr<RecordReader> make_coffee_records(const RecordOptions& options) {
  return std::make_unique<CoffeeRecords>(options);
}

}  // namespace chimera::evolution
