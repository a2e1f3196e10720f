// The control side's own copy of the routes: a path-compressed binary trie, compact enough for a
// million.
//
// DPDK's rte_rib would do the same, but takes all memory for its largest size from the EAL when it
// is made, which a daemon started with `--no-huge -m 512` does not have. Here a node has 16 bytes
// (IPv4) or 32 (IPv6), a route needs at most two nodes, and pages are taken as the table grows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "dataplane/route/huge_array.h"
#include "dataplane/route/prefix_key.h"

namespace penstock {

template <typename Key>
class PrefixTree {
 public:
  struct Route {
    Key key = 0;
    uint8_t length = 0;
    uint32_t next_hop = 0;  // at most 20 bits
  };
  enum class Change : uint8_t { kAdded, kReplaced, kFull };

  explicit PrefixTree(uint32_t max_routes)
      : max_routes_(max_routes), nodes_(2ull * max_routes + 1) {}

  // `key` has no bits behind `length`.
  Change Set(Key key, unsigned length, uint32_t next_hop);
  struct Removed {
    std::optional<Route> cover;  // the longest remaining prefix around the removed one
  };
  std::optional<Removed> Remove(Key key, unsigned length);
  std::optional<uint32_t> Find(Key key, unsigned length) const;
  std::optional<Route> LongestMatch(Key key) const;
  // In order of key, then length, strictly after `from`; stops when `visit` returns false.
  template <typename Visitor>
  void Visit(const std::optional<Route>& from, const Visitor& visit) const;

  size_t size() const { return size_; }
  uint32_t max_routes() const { return max_routes_; }
  size_t memory_bytes() const { return nodes_.resident_bytes(); }

 private:
  // A node without a route only joins two subtrees. Index 0 is no node.
  struct Node {
    Key key;
    uint32_t child[2];
    uint32_t next_hop : 20;
    uint32_t length : 8;
    uint32_t has_route : 1;
  };
  static_assert(sizeof(Node) == (sizeof(Key) == 4 ? 16 : 32));

  static bool Covers(const Node& node, Key key, unsigned length) {
    return node.length <= length && ((node.key ^ key) & PrefixMask<Key>(node.length)) == 0;
  }
  static Route RouteOf(const Node& node) {
    return {node.key, static_cast<uint8_t>(node.length), node.next_hop};
  }
  uint32_t NewNode(Key key, unsigned length) {
    uint32_t index = free_;
    if (index != 0) {
      free_ = nodes_[index].child[0];
    } else {
      index = ++used_;
    }
    Node& node = nodes_[index];
    node = {};
    node.key = key;
    node.length = static_cast<uint8_t>(length);
    return index;
  }
  void FreeNode(uint32_t index) {
    nodes_[index].child[0] = free_;
    free_ = index;
  }
  void SetRoute(uint32_t index, uint32_t next_hop) {
    nodes_[index].next_hop = next_hop & 0xfffff;
    nodes_[index].has_route = 1;
  }
  // Takes a node without route out of the path to it, if it joins nothing any more.
  void Collapse(uint32_t* link) {
    const uint32_t index = *link;
    const Node& node = nodes_[index];
    if (node.has_route || (node.child[0] != 0 && node.child[1] != 0)) {
      return;
    }
    *link = node.child[0] != 0 ? node.child[0] : node.child[1];
    FreeNode(index);
  }

  uint32_t max_routes_;
  HugeArray<Node> nodes_;
  uint32_t root_ = 0;
  uint32_t used_ = 0;
  uint32_t free_ = 0;
  size_t size_ = 0;
};

template <typename Key>
typename PrefixTree<Key>::Change PrefixTree<Key>::Set(Key key, unsigned length, uint32_t next_hop) {
  uint32_t* link = &root_;
  while (*link != 0 && Covers(nodes_[*link], key, length)) {
    Node& node = nodes_[*link];
    if (node.length == length) {
      const bool replaced = node.has_route;
      if (!replaced && size_ == max_routes_) {
        return Change::kFull;
      }
      SetRoute(*link, next_hop);
      size_ += replaced ? 0 : 1;
      return replaced ? Change::kReplaced : Change::kAdded;
    }
    link = &node.child[KeyBit(key, node.length)];
  }
  if (size_ == max_routes_) {
    return Change::kFull;
  }
  const uint32_t below = *link;
  const uint32_t added = NewNode(key, length);
  SetRoute(added, next_hop);
  ++size_;
  if (below == 0) {
    *link = added;
    return Change::kAdded;
  }
  const Key below_key = nodes_[below].key;
  const unsigned common = std::min(length, CommonBits(key, below_key));
  if (common == length) {
    nodes_[added].child[KeyBit(below_key, length)] = below;
    *link = added;
    return Change::kAdded;
  }
  const uint32_t joint = NewNode(key & PrefixMask<Key>(common), common);
  nodes_[joint].child[KeyBit(key, common)] = added;
  nodes_[joint].child[KeyBit(below_key, common)] = below;
  *link = joint;
  return Change::kAdded;
}

template <typename Key>
std::optional<typename PrefixTree<Key>::Removed> PrefixTree<Key>::Remove(Key key, unsigned length) {
  Removed removed;
  uint32_t* parent_link = nullptr;
  uint32_t* link = &root_;
  while (*link != 0 && Covers(nodes_[*link], key, length) && nodes_[*link].length != length) {
    Node& node = nodes_[*link];
    if (node.has_route) {
      removed.cover = RouteOf(node);
    }
    parent_link = link;
    link = &node.child[KeyBit(key, node.length)];
  }
  if (*link == 0 || !Covers(nodes_[*link], key, length) || !nodes_[*link].has_route) {
    return std::nullopt;
  }
  nodes_[*link].has_route = 0;
  --size_;
  Collapse(link);
  if (parent_link != nullptr) {
    Collapse(parent_link);
  }
  return removed;
}

template <typename Key>
std::optional<uint32_t> PrefixTree<Key>::Find(Key key, unsigned length) const {
  uint32_t index = root_;
  while (index != 0 && Covers(nodes_[index], key, length)) {
    const Node& node = nodes_[index];
    if (node.length == length) {
      return node.has_route ? std::optional<uint32_t>(node.next_hop) : std::nullopt;
    }
    index = node.child[KeyBit(key, node.length)];
  }
  return std::nullopt;
}

template <typename Key>
std::optional<typename PrefixTree<Key>::Route> PrefixTree<Key>::LongestMatch(Key key) const {
  std::optional<Route> best;
  uint32_t index = root_;
  while (index != 0 && Covers(nodes_[index], key, kKeyBits<Key>)) {
    const Node& node = nodes_[index];
    if (node.has_route) {
      best = RouteOf(node);
    }
    if (node.length == kKeyBits<Key>) {
      break;
    }
    index = node.child[KeyBit(key, node.length)];
  }
  return best;
}

template <typename Key>
template <typename Visitor>
void PrefixTree<Key>::Visit(const std::optional<Route>& from, const Visitor& visit) const {
  uint32_t stack[kKeyBits<Key> + 2];
  unsigned depth = 0;
  if (root_ != 0) {
    stack[depth++] = root_;
  }
  while (depth > 0) {
    const Node& node = nodes_[stack[--depth]];
    const Key last = node.key | static_cast<Key>(~PrefixMask<Key>(node.length));
    if (from && last < from->key) {
      continue;  // the whole subtree lies before the page
    }
    const bool after =
        !from || node.key > from->key || (node.key == from->key && node.length > from->length);
    if (after && node.has_route && !visit(RouteOf(node))) {
      return;
    }
    for (unsigned side : {1u, 0u}) {
      if (node.child[side] != 0) {
        stack[depth++] = node.child[side];
      }
    }
  }
}

}  // namespace penstock
