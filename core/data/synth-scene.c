/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The picture of a synthetic slide. Islands are circles whose radius varies
 * with the angle by a few harmonics, so their area is known in closed form.
 * Nuclei sit in the cells of a square grid, one at most and wholly inside, so
 * they never overlap and a tile finds its own without a search. Everything
 * random is a hash of place and seed, so tiles can be painted in any order.
 */
#include "data/synth-scene.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define TILE UMEDPT_SYNTH_TILE
#define NODE 16 /* distance of the points where the outline is evaluated */
#define NODES (TILE / NODE + 1)
#define CELL_UM 14.0
#define DENSITY 0.6 /* share of the cells with a nucleus */
#define MAX_ISLANDS 5
#define NOISE 512 /* side of the periodic texture */
#define OUTSIDE -1e9f

const guint8 umedpt_synth_background[3] = { 244, 243, 245 };

static const struct
{
  const char *name;
  double radius_min, radius_max; /* µm */
  guint8 colour[3];
} kinds[UMEDPT_SYNTH_CLASSES] = {
  { "tumour", 3.4, 4.4, { 112, 70, 150 } },
  { "lymphocyte", 2.0, 2.6, { 62, 38, 112 } },
  { "stroma", 2.4, 3.2, { 130, 88, 158 } },
};

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014. */
static guint64
mix (guint64 v)
{
  v += 0x9e3779b97f4a7c15u;
  v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
  v = (v ^ v >> 27) * 0x94d049bb133111ebu;
  return v ^ v >> 31;
}

/* A number in [0, 1) that belongs to (@seed, @a, @b). */
static double
uniform (guint64 seed, guint64 a, guint64 b)
{
  return (double) (mix (mix (mix (seed) ^ a) ^ b) >> 11) * 0x1p-53;
}

const char *
umedpt_synth_class_name (guint kind)
{
  return kinds[kind].name;
}

double
umedpt_synth_island_radius (const UmedptSynthIsland *island, double angle)
{
  double r = 1.0;

  for (gint k = 0; k < UMEDPT_SYNTH_HARMONICS; k++)
    r += island->amplitude[k] * cos ((k + 2) * angle + island->phase[k]);
  return r * island->radius;
}

/* Half the integral of r² over the angle. */
double
umedpt_synth_island_area (const UmedptSynthIsland *island)
{
  double sum = 1.0;

  for (gint k = 0; k < UMEDPT_SYNTH_HARMONICS; k++)
    sum += island->amplitude[k] * island->amplitude[k] / 2;
  return G_PI * island->radius * island->radius * sum;
}

/* How far inside an island a point is, along the ray from its centre. */
static double
depth_in (const UmedptSynthIsland *island, double x, double y)
{
  double dx = x - island->x, dy = y - island->y;

  return umedpt_synth_island_radius (island, atan2 (dy, dx)) -
      sqrt (dx * dx + dy * dy);
}

static double
depth_at (const UmedptSynthScene *scene, double x, double y)
{
  double depth = OUTSIDE;

  for (guint i = 0; i < scene->islands->len; i++)
    depth = MAX (depth,
        depth_in (&g_array_index (scene->islands, UmedptSynthIsland, i), x, y));
  return depth;
}

static UmedptSynthIsland
make_island (const UmedptSynthScene *scene, guint attempt)
{
  guint64 s = mix (scene->seed + 1), a = attempt;
  double side = (double) MIN (scene->width, scene->height);
  UmedptSynthIsland island = { 0 };
  double sum = 0;

  island.radius = side * (0.14 + 0.12 * uniform (s, a, 0));
  for (guint k = 0; k < UMEDPT_SYNTH_HARMONICS; k++) {
    island.amplitude[k] = 0.16 * uniform (s, a, 10 + k) / (k + 1.5);
    island.phase[k] = 2 * G_PI * uniform (s, a, 20 + k);
    sum += island.amplitude[k];
  }
  island.reach = island.radius * (1 + sum);
  island.x = island.reach +
      uniform (s, a, 1) * ((double) scene->width - 2 * island.reach);
  island.y = island.reach +
      uniform (s, a, 2) * ((double) scene->height - 2 * island.reach);
  return island;
}

static void
place_islands (UmedptSynthScene *scene)
{
  for (guint attempt = 0; attempt < 200 && scene->islands->len < MAX_ISLANDS;
       attempt++) {
    UmedptSynthIsland island = make_island (scene, attempt);
    gboolean free_place = TRUE;

    for (guint i = 0; i < scene->islands->len; i++) {
      const UmedptSynthIsland *other =
          &g_array_index (scene->islands, UmedptSynthIsland, i);

      free_place = free_place &&
          hypot (island.x - other->x, island.y - other->y) >
              1.05 * (island.reach + other->reach);
    }
    if (free_place)
      g_array_append_val (scene->islands, island);
  }
}

/* The nucleus that cell (i, j) may hold; FALSE if it is not inside tissue. */
static gboolean
make_nucleus (const UmedptSynthScene *scene, gint64 i, gint64 j,
    UmedptSynthNucleus *nucleus)
{
  guint64 s = mix (mix (scene->seed + 2) ^ (guint64) j), a = (guint64) i;
  double pixels = scene->cell / CELL_UM, pick = uniform (s, a, 0), radius, free;

  nucleus->kind = pick < 0.5 ? 0 : pick < 0.75 ? 1 : 2;
  radius = pixels *
      (kinds[nucleus->kind].radius_min +
          uniform (s, a, 1) *
              (kinds[nucleus->kind].radius_max -
                  kinds[nucleus->kind].radius_min));
  free = scene->cell - 2 * radius - 2;
  nucleus->radius = (float) radius;
  nucleus->x = (float) ((double) i * scene->cell + radius + 1 +
      uniform (s, a, 2) * free);
  nucleus->y = (float) ((double) j * scene->cell + radius + 1 +
      uniform (s, a, 3) * free);
  return depth_at (scene, (double) nucleus->x, (double) nucleus->y) >
      2 * radius;
}

static gboolean
near_island (const UmedptSynthScene *scene, double x, double y, double slack)
{
  for (guint i = 0; i < scene->islands->len; i++) {
    const UmedptSynthIsland *island =
        &g_array_index (scene->islands, UmedptSynthIsland, i);

    if (fabs (x - island->x) < island->reach + slack &&
        fabs (y - island->y) < island->reach + slack)
      return TRUE;
  }
  return FALSE;
}

/* Calls for every cell in tissue; without @wanted it only counts, else it
 * draws exactly @wanted of @n_cells (Knuth, TAOCP 2, algorithm 3.4.2 S). */
static gint64
visit_cells (UmedptSynthScene *scene, gint64 n_cells, gint64 wanted)
{
  gint64 columns = (gint64) ((double) scene->width / scene->cell);
  gint64 seen = 0, drawn = 0;

  for (gint64 j = 0; j < scene->n_rows; j++) {
    scene->row_start[j] = scene->nuclei->len;
    for (gint64 i = 0; i < columns; i++) {
      UmedptSynthNucleus nucleus;

      if (!near_island (scene, ((double) i + 0.5) * scene->cell,
              ((double) j + 0.5) * scene->cell, 0) ||
          !make_nucleus (scene, i, j, &nucleus))
        continue;
      if (wanted >= 0 &&
          uniform (scene->seed + 3, (guint64) j, (guint64) i) *
                  (double) (n_cells - seen) <
              (double) (wanted - drawn)) {
        g_array_append_val (scene->nuclei, nucleus);
        drawn++;
      }
      seen++;
    }
  }
  scene->row_start[scene->n_rows] = scene->nuclei->len;
  return seen;
}

/* Periodic texture in three octaves, -127 … 127. */
static gint8 *
make_noise (guint64 seed)
{
  gint8 *noise = g_malloc (NOISE * NOISE);

  for (guint y = 0; y < NOISE; y++)
    for (guint x = 0; x < NOISE; x++) {
      double sum = 0;

      for (guint octave = 0; octave < 3; octave++) {
        guint step = 2u << (2 * octave), period = NOISE / step;
        guint i = x / step, j = y / step;
        double fx = (x % step) / (double) step, fy = (y % step) / (double) step;
        guint64 s = seed + 10 + octave;
        guint i1 = (i + 1) % period, j1 = (j + 1) % period;

        sum += ((1 - fx) * (1 - fy) * uniform (s, i, j) +
                   fx * (1 - fy) * uniform (s, i1, j) +
                   (1 - fx) * fy * uniform (s, i, j1) +
                   fx * fy * uniform (s, i1, j1)) /
            3;
      }
      noise[y * NOISE + x] = (gint8) CLAMP ((sum - 0.5) * 400, -127, 127);
    }
  return noise;
}

UmedptSynthScene *
umedpt_synth_scene_new (const UmedptSynthOptions *options, GError **error)
{
  g_autoptr (UmedptSynthScene) scene = g_new0 (UmedptSynthScene, 1);
  gint64 n_cells, wanted = options->n_nuclei;

  scene->width = options->width;
  scene->height = options->height;
  scene->seed = mix (options->seed);
  scene->cell = CELL_UM / options->mpp;
  scene->islands = g_array_new (FALSE, TRUE, sizeof (UmedptSynthIsland));
  scene->nuclei = g_array_new (FALSE, TRUE, sizeof (UmedptSynthNucleus));
  scene->n_rows = (gint64) ((double) scene->height / scene->cell);
  scene->row_start = g_new0 (guint32, scene->n_rows + 1);
  scene->noise = make_noise (scene->seed);
  place_islands (scene);
  n_cells = visit_cells (scene, 0, -1);
  if (wanted < 0)
    wanted = (gint64) ((double) n_cells * DENSITY);
  if (wanted > n_cells || wanted > G_MAXUINT32) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "%" G_GINT64_FORMAT " nuclei do not fit: the tissue of a slide of "
        "%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " pixels at %g µm holds "
        "at most %" G_GINT64_FORMAT ".",
        wanted, scene->width, scene->height, options->mpp, n_cells);
    return NULL;
  }
  visit_cells (scene, n_cells, wanted);
  return g_steal_pointer (&scene);
}

void
umedpt_synth_scene_free (UmedptSynthScene *scene)
{
  if (scene == NULL)
    return;
  g_array_unref (scene->islands);
  g_array_unref (scene->nuclei);
  g_free (scene->row_start);
  g_free (scene->noise);
  g_free (scene);
}

/* The depth at the tile's nodes; FALSE if no island is near. */
static gboolean
find_depths (const UmedptSynthScene *scene, gint64 x, gint64 y,
    float depths[NODES][NODES])
{
  gboolean any = FALSE;

  for (gint j = 0; j < NODES; j++)
    for (gint i = 0; i < NODES; i++)
      depths[j][i] = OUTSIDE;
  for (guint k = 0; k < scene->islands->len; k++) {
    const UmedptSynthIsland *island =
        &g_array_index (scene->islands, UmedptSynthIsland, k);

    if (hypot ((double) x + TILE / 2 - island->x,
            (double) y + TILE / 2 - island->y) > island->reach + TILE)
      continue;
    for (gint j = 0; j < NODES; j++)
      for (gint i = 0; i < NODES; i++) {
        float d = (float) depth_in (island, (double) (x + i * NODE),
            (double) (y + j * NODE));

        depths[j][i] = MAX (depths[j][i], d);
        any = any || d > -2 * NODE;
      }
  }
  return any;
}

/* One row of tissue over NODE pixels: pink with texture, its edge softened
 * over 8 pixels. */
static void
paint_span (const UmedptSynthScene *scene, gint64 x, gint64 y, float d0,
    float d1, guint8 *rgb)
{
  const gint8 *fine = scene->noise + (y & (NOISE - 1)) * NOISE;
  const gint8 *coarse = scene->noise + ((y / 3 + 131) & (NOISE - 1)) * NOISE;
  float step = (d1 - d0) / NODE;

  for (gint i = 0; i < NODE; i++) {
    float cover = CLAMP ((d0 + step * (float) i) / 8.0f + 0.5f, 0.0f, 1.0f);
    gint a = (gint) (cover * 256);
    gint n =
        fine[(x + i) & (NOISE - 1)] + coarse[((x + i) / 3 + 77) & (NOISE - 1)];
    gint r = 226 + n / 14, g = 158 + n / 6, b = 196 + n / 9;

    rgb[3 * i] =
        (guint8) ((r * a + umedpt_synth_background[0] * (256 - a)) >> 8);
    rgb[3 * i + 1] =
        (guint8) ((g * a + umedpt_synth_background[1] * (256 - a)) >> 8);
    rgb[3 * i + 2] =
        (guint8) ((b * a + umedpt_synth_background[2] * (256 - a)) >> 8);
  }
}

static void
paint_tissue (const UmedptSynthScene *scene, gint64 x, gint64 y,
    float depths[NODES][NODES], guint8 *rgb)
{
  for (gint j = 0; j < TILE; j++) {
    const float *above = depths[j / NODE], *below = depths[j / NODE + 1];
    float f = (float) (j % NODE) / NODE;

    for (gint i = 0; i < NODES - 1; i++)
      paint_span (scene, x + i * NODE, y + j, above[i] * (1 - f) + below[i] * f,
          above[i + 1] * (1 - f) + below[i + 1] * f,
          rgb + ((gsize) j * TILE + i * NODE) * 3);
  }
}

static void
paint_nucleus (const UmedptSynthScene *scene, const UmedptSynthNucleus *nucleus,
    gint64 x, gint64 y, guint8 *rgb)
{
  const guint8 *colour = kinds[nucleus->kind].colour;
  float cx = (float) ((double) nucleus->x - (double) x);
  float cy = (float) ((double) nucleus->y - (double) y);
  gint x0 = MAX ((gint) floorf (cx - nucleus->radius - 1), 0);
  gint y0 = MAX ((gint) floorf (cy - nucleus->radius - 1), 0);
  gint x1 = MIN ((gint) ceilf (cx + nucleus->radius + 1), TILE);
  gint y1 = MIN ((gint) ceilf (cy + nucleus->radius + 1), TILE);

  for (gint j = y0; j < y1; j++)
    for (gint i = x0; i < x1; i++) {
      float dx = (float) i + 0.5f - cx, dy = (float) j + 0.5f - cy;
      float cover = nucleus->radius - sqrtf (dx * dx + dy * dy) + 0.5f;
      gint a = (gint) (CLAMP (cover, 0.0f, 1.0f) * 256);
      gint n = scene->noise[((y + j) & (NOISE - 1)) * NOISE +
          ((x + i) & (NOISE - 1))];
      guint8 *p = rgb + ((gsize) j * TILE + i) * 3;

      for (gint c = 0; c < 3; c++)
        p[c] = (guint8) (((colour[c] + n / 6) * a + p[c] * (256 - a)) >> 8);
    }
}

gboolean
umedpt_synth_scene_render (const UmedptSynthScene *scene, gint64 x, gint64 y,
    guint8 *rgb)
{
  float depths[NODES][NODES];
  gint64 first = (gint64) ((double) y / scene->cell);
  gint64 last = (gint64) ((double) (y + TILE) / scene->cell);

  if (!find_depths (scene, x, y, depths))
    return FALSE;
  paint_tissue (scene, x, y, depths, rgb);
  for (gint64 row = first; row <= last && row < scene->n_rows; row++)
    for (guint32 k = scene->row_start[row]; k < scene->row_start[row + 1];
         k++) {
      const UmedptSynthNucleus *nucleus =
          &g_array_index (scene->nuclei, UmedptSynthNucleus, k);

      if ((double) nucleus->x + (double) nucleus->radius + 1 > (double) x &&
          (double) nucleus->x - (double) nucleus->radius - 1 <
              (double) (x + TILE))
        paint_nucleus (scene, nucleus, x, y, rgb);
    }
  return TRUE;
}
