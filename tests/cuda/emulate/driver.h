/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Between the two files of the emulated driver: driver.c has the device and
 * its contexts, driver-memory.cc what lies and runs there.
 */
#pragma once

#include <cuda.h>

/* Functions under the names that programs look for, whatever version of them
 * cuda.h declares. */
#ifdef __cplusplus
#define EMULATE_DRIVER(name, ...) \
  extern "C" __attribute__ ((visibility ("default"))) \
  CUresult name (__VA_ARGS__); \
  extern "C" CUresult name (__VA_ARGS__)
extern "C" {
#else
#define EMULATE_DRIVER(name, ...) \
  __attribute__ ((visibility ("default"))) CUresult name (__VA_ARGS__); \
  CUresult name (__VA_ARGS__)
#endif

/* What programs look for and nobody calls here. It has its name in the library
 * only: cuda.h may declare it otherwise. */
#define EMULATE_MISSING(name) \
  __attribute__ ((visibility ("default"))) \
  CUresult missing_##name (void) __asm__(#name); \
  CUresult missing_##name (void) \
  { \
    return CUDA_ERROR_NOT_SUPPORTED; \
  }

typedef enum
{
  EMULATE_CONTEXT_NONE,
  EMULATE_CONTEXT_PRIMARY, /* the run-time library's */
  EMULATE_CONTEXT_FOREIGN,
} EmulateContext;

/* What is current in this thread. */
EmulateContext emulate_current_context (void);

#ifdef __cplusplus
}
#endif
