/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Device memory and pinned memory. Device memory is one range of addresses that
 * can be touched only while a kernel or a copy runs: where the host follows a
 * device pointer, the program stops. New memory is all NaN, and so is what lies
 * between blocks; when work is done it must still be that, or somebody has
 * written beyond a block.
 *
 * Opening and closing costs time for each page, so blocks of more than 1 MiB
 * stay open if it is not asked otherwise. Memory of other contexts of the
 * driver's (driver.cc) is closed to kernels, too.
 *
 *   UMEDPT_EMULATE_MEMORY=bytes     what the device has (default: 16 GiB)
 *   UMEDPT_EMULATE_PROTECT=0, all   the host may touch any device memory, none
 */
#include "emulate-private.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <map>

namespace {

const size_t page = 4096, range_size = (size_t) 128 << 30;
const size_t small_size = 1 << 20;
const size_t lead = 256; /* CUDA aligns blocks to this and no more */
const size_t poisoned = (size_t) 256 << 20; /* at most, of a block */

struct Block
{
  size_t size, slot; /* from lead bytes before it to the next block */
  bool foreign; /* of another context */
};

/* Addresses for blocks, of which those up to @top are in use. */
struct Range
{
  char *base, *top;
  std::multimap<size_t, char *> free_slots;
  bool closes;
};

std::map<uintptr_t, Block> blocks, pinned;
Range small_range, large_range, foreign_range;
size_t used;
int depth; /* of emulate_open_memory () */
bool foreign_open;

size_t
total (void)
{
  const char *text = getenv ("UMEDPT_EMULATE_MEMORY");

  return text ? strtoull (text, NULL, 0) : (size_t) 16 << 30;
}

/* The range for slots of @size bytes. */
Range *
range_of (size_t size, bool foreign)
{
  static const char *text = getenv ("UMEDPT_EMULATE_PROTECT");
  Range *range = foreign  ? &foreign_range
      : size > small_size ? &large_range
                          : &small_range;

  if (!range->base) {
    void *memory = mmap (NULL, range_size, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    emulate_watch ();
    if (memory == MAP_FAILED)
      emulate_fail ("there are no addresses for device memory");
    range->base = range->top = (char *) memory;
    range->closes = text && strcmp (text, "0") == 0 ? false
        : text && strcmp (text, "all") == 0         ? true
                                                    : range != &large_range;
  }
  return range;
}

void
protect (int how)
{
  for (Range *range : { &small_range, &large_range })
    if (range->closes && range->top > range->base)
      mprotect (range->base, (size_t) (range->top - range->base), how);
}

/* A place for a block: an old one that is not much too large, or a new one. */
char *
take_slot (size_t *size, bool foreign)
{
  Range *range = range_of (*size, foreign);
  auto found = range->free_slots.lower_bound (*size);
  char *slot = range->top;

  if (found != range->free_slots.end () && found->first <= 2 * *size) {
    slot = found->second;
    *size = found->first;
    range->free_slots.erase (found);
    return slot;
  }
  if (*size > range_size - (size_t) (range->top - range->base))
    return NULL;
  range->top += *size;
  mprotect (slot, *size,
      (foreign ? foreign_open : depth > 0) || !range->closes
          ? PROT_READ | PROT_WRITE
          : PROT_NONE);
  return slot;
}

/* Whether what follows a block is as it was. */
void
check_ends (void)
{
  for (const auto &entry : blocks) {
    const unsigned char *data = (const unsigned char *) entry.first;
    size_t end = entry.second.slot - lead;

    if (entry.second.foreign != foreign_open)
      continue;
    for (size_t i = entry.second.size; i < end; i++)
      if (data[i] != 0xff)
        emulate_fail ("somebody wrote %zu bytes behind the end of the block of "
                      "%zu bytes at %p (UMEDPT_EMULATE_EAGER=1 shows who)",
            i - entry.second.size, entry.second.size, data);
  }
}

/* The block that holds the address, or the end. */
std::map<uintptr_t, Block>::const_iterator
find (const std::map<uintptr_t, Block> &map, const void *data)
{
  auto next = map.upper_bound ((uintptr_t) data);

  if (next == map.begin ())
    return map.end ();
  --next;
  return (uintptr_t) data < next->first + next->second.size ? next : map.end ();
}

} // namespace

bool
emulate_is_device (const void *data, size_t size)
{
  auto found = find (blocks, data);

  return found != blocks.end () && !found->second.foreign &&
      (uintptr_t) data + size <= found->first + found->second.size;
}

bool
emulate_is_foreign (const void *data, size_t size)
{
  auto found = find (blocks, data);

  return found != blocks.end () && found->second.foreign &&
      (uintptr_t) data + size <= found->first + found->second.size;
}

bool
emulate_is_pinned (const void *data)
{
  return find (pinned, data) != pinned.end ();
}

void
emulate_open_memory (void)
{
  if (depth++ == 0)
    protect (PROT_READ | PROT_WRITE);
}

void
emulate_close_memory (void)
{
  if (depth == 1) {
    check_ends ();
    protect (PROT_NONE);
  }
  depth--;
}

void
emulate_open_foreign (bool open)
{
  if (foreign_open)
    check_ends ();
  foreign_open = open;
  if (foreign_range.closes && foreign_range.top > foreign_range.base)
    mprotect (foreign_range.base,
        (size_t) (foreign_range.top - foreign_range.base),
        open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

cudaError_t
emulate_allocate (void **data, size_t size, bool foreign)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);
  size_t slot = (lead + size + lead + page - 1) / page * page;
  char *memory;

  *data = NULL;
  if (emulate_forbidden (true))
    return emulate_status (cudaErrorStreamCaptureUnsupported);
  if (size == 0)
    return cudaSuccess;
  if (size > total () || used + size > total ())
    return emulate_status (cudaErrorMemoryAllocation);
  memory = take_slot (&slot, foreign);
  if (!memory)
    return emulate_status (cudaErrorMemoryAllocation);
  memory += lead;
  emulate_open_memory ();
  emulate_open_foreign (foreign);
  if (size <= poisoned)
    memset (memory, 0xff, slot - lead);
  else
    memset (memory + size, 0xff, slot - lead - size);
  emulate_open_foreign (false);
  emulate_close_memory ();
  blocks[(uintptr_t) memory] = { size, slot, foreign };
  used += size;
  *data = memory;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaMalloc (void **data, size_t size)
{
  return emulate_allocate (data, size, false);
}

extern "C" cudaError_t
cudaFree (void *data)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);
  auto found = blocks.find ((uintptr_t) data);

  if (!data)
    return cudaSuccess;
  if (emulate_forbidden (true))
    return emulate_status (cudaErrorStreamCaptureUnsupported);
  if (found == blocks.end ())
    return emulate_status (cudaErrorInvalidValue);
  emulate_drain (); /* whoever uses it still */
  range_of (found->second.slot, found->second.foreign)
      ->free_slots.insert ({ found->second.slot, (char *) data - lead });
  madvise ((char *) data - lead, found->second.slot, MADV_DONTNEED);
  used -= found->second.size;
  blocks.erase (found);
  return cudaSuccess;
}

extern "C" cudaError_t
cudaMemGetInfo (size_t *free_bytes, size_t *total_bytes)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);

  *total_bytes = total ();
  *free_bytes = total () - (used < total () ? used : total ());
  return cudaSuccess;
}

extern "C" cudaError_t
cudaMallocHost (void **data, size_t size)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);

  if (emulate_forbidden (true))
    return emulate_status (cudaErrorStreamCaptureUnsupported);
  *data = aligned_alloc (page, (size + page) / page * page);
  if (!*data)
    return emulate_status (cudaErrorMemoryAllocation);
  memset (*data, 0xff, size);
  pinned[(uintptr_t) *data] = { size, size };
  return cudaSuccess;
}

extern "C" cudaError_t
cudaHostAlloc (void **data, size_t size, unsigned)
{
  return cudaMallocHost (data, size);
}

extern "C" cudaError_t
cudaFreeHost (void *data)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);

  if (!data)
    return cudaSuccess;
  if (emulate_forbidden (true))
    return emulate_status (cudaErrorStreamCaptureUnsupported);
  if (!pinned.erase ((uintptr_t) data))
    return emulate_status (cudaErrorInvalidValue);
  emulate_drain ();
  free (data);
  return cudaSuccess;
}
