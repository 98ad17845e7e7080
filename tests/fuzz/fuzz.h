/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a fuzz target offers: libFuzzer's entry point. It returns 0; a fault,
 * a sanitizer's report or a failed assertion is what the fuzzer looks for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
