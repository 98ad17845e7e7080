/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a synthetic slide shows: islands of tissue and nuclei in them, and any
 * of its tiles as pixels. A tile depends on its place and the seed alone.
 */
#pragma once

#include <glib.h>

#include "data/synth.h"

G_BEGIN_DECLS

#define UMEDPT_SYNTH_TILE 256
#define UMEDPT_SYNTH_HARMONICS 5 /* of an island's outline, from the second */
#define UMEDPT_SYNTH_CLASSES 3

typedef struct
{
  double x, y, radius; /* level-0 pixels */
  double amplitude[UMEDPT_SYNTH_HARMONICS]; /* share of the radius */
  double phase[UMEDPT_SYNTH_HARMONICS];
  double reach; /* no point is farther from the centre */
} UmedptSynthIsland;

typedef struct
{
  float x, y, radius; /* level-0 pixels */
  guint8 kind;
} UmedptSynthNucleus;

typedef struct
{
  gint64 width, height;
  guint64 seed;
  double cell; /* side of the squares that hold one nucleus at most */
  GArray *islands; /* UmedptSynthIsland */
  GArray *nuclei; /* UmedptSynthNucleus, by rows of cells, then by x */
  guint32 *row_start; /* [cell rows + 1] into nuclei */
  gint64 n_rows;
  gint8 *noise;
} UmedptSynthScene;

UmedptSynthScene *umedpt_synth_scene_new (const UmedptSynthOptions *options,
    GError **error);
void umedpt_synth_scene_free (UmedptSynthScene *scene);

extern const guint8 umedpt_synth_background[3];
const char *umedpt_synth_class_name (guint kind);
/* The distance of an island's outline from its centre in direction @angle. */
double umedpt_synth_island_radius (const UmedptSynthIsland *island,
    double angle);
double umedpt_synth_island_area (const UmedptSynthIsland *island);
/* Paints the tile whose corner is (x, y); FALSE if it is all background, then
 * @rgb is untouched. Thread-safe. */
gboolean umedpt_synth_scene_render (const UmedptSynthScene *scene, gint64 x,
    gint64 y, guint8 *rgb);

/* Writes what the scene shows as JSON; synth-truth.c. */
gboolean umedpt_synth_truth_write (const UmedptSynthScene *scene,
    const UmedptSynthOptions *options, const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSynthScene, umedpt_synth_scene_free)

G_END_DECLS
