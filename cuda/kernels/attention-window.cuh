/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where the tokens of a window lie: padding, cyclic shift, regions. The same
 * arithmetic as backend/ref/attention.c, per window: in a shifted layer only
 * the last row and the last column of windows hold more than one region, and
 * there the token's place in the window tells which.
 */
#pragma once

#include "kernels/attention.h"
#include "kernels/kernel.cuh"

struct Geometry
{
  int height, width; /* of the map, without padding */
  int window, tokens; /* tokens: window^2 */
  int rows, columns; /* windows per image */
  int shift_y, shift_x;
  int heads, dim;
  int windows; /* of all images */
  bool padded; /* some windows are */
};

/* One window: row and column among those of its image. */
struct Place
{
  int image, row, column;
};

static inline Geometry
make_geometry (const UmedptCudaAttention *a)
{
  Geometry g;

  g.height = (int) a->height;
  g.width = (int) a->width;
  g.window = (int) a->window;
  g.tokens = g.window * g.window;
  g.rows = (int) ceil_div (a->height, a->window);
  g.columns = (int) ceil_div (a->width, a->window);
  g.shift_y = g.rows > 1 ? (int) a->shift : 0;
  g.shift_x = g.columns > 1 ? (int) a->shift : 0;
  g.heads = (int) a->heads;
  g.dim = (int) a->dim;
  g.windows = (int) (a->n * g.rows * g.columns);
  g.padded = g.height % g.window != 0 || g.width % g.window != 0;
  return g;
}

/* Window @window; also @window windows as a distance. */
static __device__ __forceinline__ Place
find_window (const Geometry &g, int window)
{
  unsigned line = (unsigned) window / g.columns;
  Place place;

  place.column = window - (int) line * g.columns;
  place.row = (int) (line % g.rows);
  place.image = (int) (line / g.rows);
  return place;
}

/* The window at distance @step, without divisions. */
static __device__ __forceinline__ void
advance (const Geometry &g, const Place &step, Place *place)
{
  place->column += step.column;
  place->row += step.row;
  place->image += step.image;
  if (place->column >= g.columns) {
    place->column -= g.columns;
    place->row++;
  }
  if (place->row >= g.rows) {
    place->row -= g.rows;
    place->image++;
  }
}

/* 1 if the window has several regions by row, 2 if by column. */
static __device__ __forceinline__ int
find_edges (const Geometry &g, const Place &place)
{
  return (g.shift_y && place.row == g.rows - 1 ? 1 : 0) |
      (g.shift_x && place.column == g.columns - 1 ? 2 : 0);
}

/* The pixel of the map that is token (@y, @x) of a window; -1: padding. */
static __device__ __forceinline__ int
find_pixel (const Geometry &g, const Place &place, int y, int x)
{
  y += place.row * g.window + g.shift_y;
  x += place.column * g.window + g.shift_x;
  if (y >= g.rows * g.window)
    y -= g.rows * g.window;
  if (x >= g.columns * g.window)
    x -= g.columns * g.window;
  return y < g.height && x < g.width
      ? (place.image * g.height + y) * g.width + x
      : -1;
}

/* Tokens @i and @j of a window see each other if their regions are alike in
 * the bits that the window's edges have. */
static __device__ __forceinline__ int
find_region (const Geometry &g, int y, int x)
{
  return (y >= g.window - g.shift_y ? 1 : 0) |
      (x >= g.window - g.shift_x ? 2 : 0);
}

static __device__ __forceinline__ float
mask_between (int edges, int region, int other)
{
  return (region ^ other) & edges ? -100.0f : 0.0f;
}
