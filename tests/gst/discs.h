/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What inference elements would find in a tile of a slide on which there is
 * nothing but discs: boxes and a mask of what the tile shows of them, cut at
 * its border, attached as another plugin would attach it.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define DISC_CLASSES 3 /* of boxes; the mask has the background before them */
#define DISC_COLORS 0x112233u, 0xff0000u, 0x00ff00u, 0x0000ffu

typedef struct
{
  double x, y, radius; /* level-0 pixels */
  gint label; /* 0 … DISC_CLASSES - 1 */
} TestDisc;

/* Where a tile lies and what its pixels are. */
typedef struct
{
  gint64 x, y; /* level 0 */
  gint size; /* pixels */
  double downsample;
} TestTile;

/* Puts @result (transfer full) on @buffer under the name of its task. */
void test_add_result (GstBuffer *buffer, const char *task,
    GstStructure *result);
/* What all results have; @labels: "a,b"; @n_colors of DISC_COLORS from @first
 * on. */
GstStructure *test_new_result (const char *what, const char *kind,
    const char *labels, guint first, guint n_colors);
void test_set_bytes (GstStructure *result, const char *field,
    gconstpointer data, gsize size);
/* A mask u8 [n, n, planes] of a whole tile of @size pixels. */
GstStructure *test_new_mask (const char *labels, gint n, gint planes,
    gboolean background, gint size, const guint8 *data);

/* Task "cells": boxes of classes a, b, c. */
void test_add_boxes (GstBuffer *buffer, const TestTile *tile,
    const GArray *discs);
/* Task "tissue": a mask of @n x @n pixels, background, a, b, c. */
void test_add_mask (GstBuffer *buffer, const TestTile *tile,
    const GArray *discs, gint n);

G_END_DECLS
