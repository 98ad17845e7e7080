/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Between the parts of the emulator: how a launch comes to be run (fiber.cc),
 * device memory (memory.cc), and how work is queued on a stream by whoever
 * queues any (queue.cc).
 */
#pragma once

#include "emulate.h"

#include <mutex>

/* ---- fiber.cc ---- */

struct EmulateLaunch
{
  const char *name;
  dim3 grid, block;
  size_t shared; /* bytes */
  std::function<void ()> body; /* of one thread */
};

/* The whole grid, now. */
void emulate_run (const EmulateLaunch &launch);
/* Has bad addresses told with what runs, in this thread. */
void emulate_watch (void);
/* What runs: kernel, block and thread; "" outside of kernels. */
const char *emulate_where (void);

/* ---- memory.cc ---- */

/* Whether that is within one block of device memory. */
bool emulate_is_device (const void *data, size_t size);
bool emulate_is_pinned (const void *data);
/* Opens device memory for the time of a kernel or a copy, and closes it: the
 * host cannot read it by mistake. Calls may be nested. */
void emulate_open_memory (void);
void emulate_close_memory (void);
/* Memory of another context than the run-time library's: open only while work
 * of such a context runs, and given back by cudaFree (). */
cudaError_t emulate_allocate (void **data, size_t size, bool foreign);
bool emulate_is_foreign (const void *data, size_t size);
void emulate_open_foreign (bool open);

/* ---- queue.cc ---- */

/* Of all that the emulator has. */
extern std::recursive_mutex emulate_lock;

/* In the order of @stream; or into the graph that it records. */
cudaError_t emulate_submit (cudaStream_t stream, std::function<void ()> work);
/* Whether a stream records a graph; then what waits or asks the driver for
 * memory is an error and spoils the graph. @relaxed: where the caller of
 * cudaStreamBeginCapture () has taken that upon himself it is none. */
bool emulate_forbidden (bool relaxed);
/* Runs all that is queued. */
void emulate_drain (void);
/* Remembers @status for cudaGetLastError () and returns it. */
cudaError_t emulate_status (cudaError_t status);
/* Work that was queued has failed: whoever waits is told, now and later. */
void emulate_break (cudaError_t status);
