/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A slide of discs tile by tile into umedptslidesink, with a file for each
 * kind of result, for the tests of its outputs.
 */
#pragma once

#include <gst/check/gstharness.h>

#include "discs.h"

G_BEGIN_DECLS

/* The grid of a slide, as umedptslidesrc announces it. */
typedef struct
{
  gint size, overlap; /* of tiles, pixels */
  double downsample;
  gint64 width, height; /* of the slide */
  gint64 region[4]; /* width 0: all */
} TestGrid;

typedef enum
{
  TEST_BOXES = 1 << 0,
  TEST_MASK = 1 << 1,
  TEST_TENSOR = 1 << 2,
} TestResults;

guint64 test_grid_columns (const TestGrid *grid);
guint64 test_grid_rows (const TestGrid *grid);
/* (out): the tile in @column and @row */
void test_grid_tile (const TestGrid *grid, guint64 column, guint64 row,
    TestTile *tile);

/* A disc round each point where seams of @grid cross, in each middle between
 * two of them, and in the middle of each core, if it lies in the grid's region;
 * classes in turn. Of TestDisc. */
GArray *test_grid_discs (const TestGrid *grid, double radius);

/* The same with discs of 12 pixels of a tile. */
GArray *test_make_discs (const TestGrid *grid);

extern const TestGrid test_one_tile; /* of 64 x 64 pixels */
extern const TestGrid test_overlapping; /* tiles of 64 that share 16 */

/* A playing element, and what hears of it. */
typedef struct
{
  GstElement *element;
  GstBus *bus;
  GstHarness *h;
} TestOutputs;

/* @properties: "name=value ...", in which every "@" is the test's folder. */
void test_outputs_init (TestOutputs *self, const char *properties);
/* With all files, called @name and one of test_suffixes, and @more. */
void test_outputs_init_all (TestOutputs *self, const char *name,
    const char *more);
/* EOS; whether all went well. */
gboolean test_outputs_end (TestOutputs *self);
/* Exactly one ERROR was posted, in which @says is to be found. */
void test_outputs_error (TestOutputs *self, const char *says);
void test_outputs_clear (TestOutputs *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TestOutputs, test_outputs_clear)

#define TEST_N_FILES 6
extern const char *const test_suffixes[TEST_N_FILES];
/* The properties for all of them. (transfer full) */
char *test_all_files (const char *name);
/* (transfer full): an element that is not started */
GstElement *test_outputs_sink (const char *properties);
char *test_read_file (const char *name);

void test_push_grid (GstHarness *h, const TestGrid *grid);
/* Pushes one tile with what is asked for. */
GstFlowReturn test_push_discs (GstHarness *h, const TestGrid *grid,
    guint64 column, guint64 row, const GArray *discs, guint results);
/* Pushes the tile of @column in the first row with @result of @task (transfer
 * full). */
GstFlowReturn test_push_result (GstHarness *h, const TestGrid *grid,
    guint64 column, const char *task, GstStructure *result);
/* All tiles, in rows. */
void test_push_all (GstHarness *h, const TestGrid *grid, const GArray *discs,
    guint results);

/* The "umedpt-slide-written" message. (transfer full) */
GstMessage *test_pop_written (GstBus *bus);
/* What it says of a file; G_MAXUINT64 if it does not name it. */
guint64 test_written (GstMessage *message, const char *file);

G_END_DECLS
