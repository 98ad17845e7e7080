/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All public headers of the library in one: #include <umedpt/umedpt.h>. The
 * compiler flags come from `pkg-config --cflags umedpt-1.0`; they name the
 * folder of this file as well, since the headers include each other by folder
 * ("tensor/tensor.h").
 */
#pragma once

#include "base/error.h"
#include "base/version.h"
#include "tensor/tensor.h"
#include "tensor/safetensors.h"
#include "backend/devices.h"
#include "net/description.h"
#include "net/model.h"
#include "infer/encoding.h"
#include "infer/regions.h"
#include "infer/session.h"
#include "data/slide.h"
#include "data/tiles.h"
#include "data/dataset.h"
#include "train/trainer.h"
#include "train/predictions.h"
#include "output/draw.h"
#include "output/features.h"
#include "output/geojson-writer.h"
#include "output/heatmap.h"
#include "output/mask-file.h"
#include "output/object-table.h"
#include "output/objects.h"
#include "output/polygonize.h"
#include "output/run-report.h"
