/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libnvcuvid.so.1 of the emulated device: it decodes nothing. GStreamer offers
 * its CUDA elements only where there is a decoder or an encoder.
 */
#include "driver.h"

// clang-format off
EMULATE_MISSING (cuvidCreateDecoder)
EMULATE_MISSING (cuvidCreateVideoParser)
EMULATE_MISSING (cuvidCtxLock)
EMULATE_MISSING (cuvidCtxLockCreate)
EMULATE_MISSING (cuvidCtxLockDestroy)
EMULATE_MISSING (cuvidCtxUnlock)
EMULATE_MISSING (cuvidDecodePicture)
EMULATE_MISSING (cuvidDestroyDecoder)
EMULATE_MISSING (cuvidDestroyVideoParser)
EMULATE_MISSING (cuvidGetDecoderCaps)
EMULATE_MISSING (cuvidMapVideoFrame64)
EMULATE_MISSING (cuvidParseVideoData)
EMULATE_MISSING (cuvidReconfigureDecoder)
EMULATE_MISSING (cuvidUnmapVideoFrame64)
// clang-format on
