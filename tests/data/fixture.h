/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of slides share: a temporary folder, small images and slides
 * of every kind in it, and damage done to them on purpose.
 */
#pragma once

#include <glib.h>
#include <gio/gio.h>

#include "data/slide.h"
#include "data/synth.h"

G_BEGIN_DECLS

/* A file name in a folder that fixture_remove() deletes. */
char *fixture_path (const char *name);
void fixture_remove (void);

/* Random but smooth RGBA pixels; with @alpha also transparent ones. */
guint8 *fixture_pixels (gint width, gint height, guint32 seed, gboolean alpha);
void fixture_write_png (const char *path, gint width, gint height,
    const guint8 *rgba);
void fixture_write_jpeg (const char *path, gint width, gint height,
    const guint8 *rgba);

typedef enum
{
  FIXTURE_RGB,
  FIXTURE_RGBA,
  FIXTURE_GREY,
  FIXTURE_GREY16,
  FIXTURE_PALETTE, /* index = red channel */
} FixtureKind;

typedef struct
{
  FixtureKind kind;
  gint rows_per_strip; /* 0: tiles of 64 */
  gboolean deflate;
  gboolean sub_ifd; /* a half-size level as a sub-directory */
  gboolean page; /* or as a second page */
  gboolean thumbnail; /* before it, a quarter-size page in strips */
  double x_per_cm, y_per_cm; /* 0: no resolution */
} FixtureTiff;

/* Orientation, resolution and so on by libtiff itself, not by our writer. */
void fixture_write_tiff (const char *path, gint width, gint height,
    const guint8 *rgba, const FixtureTiff *options);

/* A synthetic slide of the given options, and its opened form. */
char *fixture_write_synth (const char *name, const UmedptSynthOptions *options);
UmedptSlide *fixture_open (const char *path);

/* Overwrites tile or strip @index of directory @directory with @byte. */
void fixture_damage (const char *path, guint directory, guint index,
    guint8 byte);
/* Cuts the second half off a JPEG tile, by marks of its end. */
void fixture_cut_jpeg (const char *path, guint directory, guint index);
void fixture_truncate (const char *path, double share);

/* A file of the optional real data, or NULL after marking the test skipped. */
char *fixture_real (const char *name);

G_END_DECLS
