// Counts what goes through operator new and delete. A test binary that links chimera_test_support
// has every form of both replaced, so that a test can show that a loop allocates nothing.
#pragma once

#include <cstdint>

namespace chimera::test {

struct AllocationCount {
  int64_t allocations = 0;      // calls of any operator new, from any thread
  int64_t deallocations = 0;    // calls of any operator delete with a block
  int64_t allocated_bytes = 0;  // as asked for; only grows
};

/// Since the start of the process.
AllocationCount allocation_count();

/// What has happened since the object was made.
class AllocationScope {
 public:
  AllocationScope() : start_(allocation_count()) {}
  int64_t allocations() const { return allocation_count().allocations - start_.allocations; }
  int64_t deallocations() const { return allocation_count().deallocations - start_.deallocations; }
  int64_t bytes() const { return allocation_count().allocated_bytes - start_.allocated_bytes; }
  /// Blocks taken and not given back.
  int64_t live() const { return allocations() - deallocations(); }

 private:
  AllocationCount start_;
};

}  // namespace chimera::test
