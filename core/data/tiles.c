/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The plan of a slide's tiles: options checked, the scale settled, the grid
 * laid out (tiles.h has the formula), tiles without tissue left out, and the
 * whole named by a hash, so that results can say which tiles they are of.
 * Without a mask positions are computed; with one, the kept cells are listed,
 * 12 bytes a tile.
 */
#include "data/tiles.h"

#include <math.h>
#include <string.h>

#include <openslide.h>

#include "base/error.h"
#include "data/slide-private.h"
#include "data/tissue.h"

#define MAX_TILE 16384
#define MAX_TILES (G_GUINT64_CONSTANT (1) << 31)
#define GRID_SLACK 1e-6 /* of a step; a smaller rest gets no tile */

typedef struct
{
  guint32 column, row;
  float tissue;
} Cell;

struct _UmedptTilePlan
{
  GObject parent_instance;

  UmedptSlide *slide;
  UmedptTileOptions options;
  double downsample, mpp, slide_mpp;
  UmedptMppSource source;
  gint64 x, y, width, height; /* the region, cut to the slide */
  guint64 columns, rows, n_tiles;
  GArray *cells; /* Cell, in order; NULL: the whole grid */
  char *hash;
};

G_DEFINE_FINAL_TYPE (UmedptTilePlan, umedpt_tile_plan, G_TYPE_OBJECT)

static void
umedpt_tile_plan_finalize (GObject *object)
{
  UmedptTilePlan *self = UMEDPT_TILE_PLAN (object);

  g_clear_object (&self->slide);
  g_clear_pointer (&self->cells, g_array_unref);
  g_free (self->hash);
  G_OBJECT_CLASS (umedpt_tile_plan_parent_class)->finalize (object);
}

static void
umedpt_tile_plan_class_init (UmedptTilePlanClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = umedpt_tile_plan_finalize;
}

static void
umedpt_tile_plan_init (UmedptTilePlan *self)
{
}

static gboolean
check_options (const UmedptTileOptions *o, UmedptSlide *slide, GError **error)
{
  guint n_levels = umedpt_slide_get_n_levels (slide);
  gint n_scales = (o->mpp != 0) + (o->magnification != 0) + (o->level >= 0);
  g_autofree char *why = NULL;

  if (o->tile_size < 1 || o->tile_size > MAX_TILE)
    why = g_strdup_printf ("tile-size is %d; it must be 1 … %d output pixels",
        o->tile_size, MAX_TILE);
  else if (o->overlap < 0 || o->overlap >= o->tile_size)
    why = g_strdup_printf ("overlap is %d; it must be 0 … %d, less than "
                           "tile-size",
        o->overlap, o->tile_size - 1);
  else if (n_scales != 1)
    why = g_strdup_printf ("%s of mpp (%g), magnification (%g) and level (%d) "
                           "are given; give exactly one",
        n_scales == 0 ? "none" : "several", o->mpp, o->magnification, o->level);
  else if (o->mpp != 0 && !(o->mpp > 0 && o->mpp <= 1000))
    why = g_strdup_printf ("mpp is %g; it must be above 0 and at most 1000 µm "
                           "per pixel",
        o->mpp);
  else if (o->magnification != 0 &&
      !(o->magnification > 0 && o->magnification <= 1000))
    why = g_strdup_printf ("magnification is %g; it must be above 0 and at "
                           "most 1000",
        o->magnification);
  else if (o->level >= 0 && (guint) o->level >= n_levels)
    why = g_strdup_printf ("level is %d, but “%s” has the levels 0 … %u",
        o->level, umedpt_slide_get_path (slide), n_levels - 1);
  else if (!(o->slide_mpp >= 0 && o->slide_mpp <= 1000))
    why = g_strdup_printf ("slide-mpp is %g; it must be above 0 and at most "
                           "1000 µm per level-0 pixel, or 0 to ask the slide",
        o->slide_mpp);
  else if (!(o->min_tissue >= 0 && o->min_tissue <= 1))
    why = g_strdup_printf ("min-tissue is %g; it must be 0 … 1", o->min_tissue);
  else if (o->tissue > UMEDPT_TISSUE_OTSU || o->order > UMEDPT_ORDER_SERPENTINE)
    why = g_strdup ("the tissue method or the order is none of those offered");
  if (why == NULL)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Cannot lay out tiles: %s.", why);
  return FALSE;
}

/* Settles the scale of level 0 and of the output. */
static gboolean
find_scale (UmedptTilePlan *self, GError **error)
{
  const UmedptTileOptions *o = &self->options;
  double objective = umedpt_slide_get_objective (self->slide);

  self->slide_mpp = umedpt_slide_get_mpp (self->slide, &self->source);
  if (o->slide_mpp > 0) {
    self->slide_mpp = o->slide_mpp;
    self->source = UMEDPT_MPP_USER;
  }
  if (o->level >= 0)
    self->downsample =
        umedpt_slide_get_level (self->slide, (guint) o->level)->downsample;
  else if (o->magnification > 0 && objective > 0 && o->slide_mpp == 0)
    self->downsample = objective / o->magnification;
  else if (self->slide_mpp > 0)
    self->downsample =
        (o->mpp > 0 ? o->mpp : 10.0 / o->magnification) / self->slide_mpp;
  else {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "%s is asked for, but the slide's scale is unknown. %s",
        o->mpp > 0 ? "mpp" : "magnification",
        umedpt_slide_get_mpp_problem (self->slide));
    return FALSE;
  }
  self->mpp = self->slide_mpp * self->downsample;
  if (self->downsample >= 1.0 / 64 && self->downsample <= 4096)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The scale asked for means %g level-0 pixels of “%s” per output pixel; "
      "1/64 … 4096 are possible.",
      self->downsample, umedpt_slide_get_path (self->slide));
  return FALSE;
}

static gboolean
find_region (UmedptTilePlan *self, GError **error)
{
  const gint64 *r = self->options.region;
  const UmedptSlideLevel *full = umedpt_slide_get_level (self->slide, 0);

  self->width = full->width;
  self->height = full->height;
  if (r[2] == 0)
    return TRUE;
  if (r[0] < 0 || r[1] < 0 || r[2] < 0 || r[3] < 1 || r[0] >= full->width ||
      r[1] >= full->height) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The region (x %" G_GINT64_FORMAT ", y %" G_GINT64_FORMAT
        ", width %" G_GINT64_FORMAT ", height %" G_GINT64_FORMAT
        ") must begin inside “%s”, which has %" G_GINT64_FORMAT
        " x %" G_GINT64_FORMAT " pixels at level 0, and must not be empty.",
        r[0], r[1], r[2], r[3], umedpt_slide_get_path (self->slide),
        full->width, full->height);
    return FALSE;
  }
  self->x = r[0];
  self->y = r[1];
  self->width = MIN (r[2], full->width - r[0]);
  self->height = MIN (r[3], full->height - r[1]);
  return TRUE;
}

static double
get_step (UmedptTilePlan *self)
{
  return (self->options.tile_size - self->options.overlap) * self->downsample;
}

static double
get_side (UmedptTilePlan *self)
{
  return self->options.tile_size * self->downsample;
}

static guint64
count_tiles (UmedptTilePlan *self, gint64 length)
{
  double rest = ((double) length - self->options.overlap * self->downsample) /
          get_step (self) -
      GRID_SLACK;

  return rest <= 1.0 ? 1 : (guint64) ceil (rest);
}

static gboolean
lay_grid (UmedptTilePlan *self, GError **error)
{
  self->columns = count_tiles (self, self->width);
  self->rows = count_tiles (self, self->height);
  if (self->columns <= MAX_TILES && self->rows <= MAX_TILES / self->columns) {
    self->n_tiles = self->columns * self->rows;
    return TRUE;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The grid would have %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
      " tiles; take larger tiles, a coarser scale, less overlap or a region.",
      self->columns, self->rows);
  return FALSE;
}

/* The column and row of the grid's cell at @index in the chosen order. */
static void
grid_cell (UmedptTilePlan *self, guint64 index, guint64 *column, guint64 *row)
{
  if (self->options.order == UMEDPT_ORDER_COLUMNS) {
    *column = index / self->rows;
    *row = index % self->rows;
    return;
  }
  *row = index / self->columns;
  *column = index % self->columns;
  if (self->options.order == UMEDPT_ORDER_SERPENTINE && *row % 2 == 1)
    *column = self->columns - 1 - *column;
}

static gint64
position (UmedptTilePlan *self, gint64 start, guint64 i)
{
  return start + (gint64) floor ((double) i * get_step (self) + 0.5);
}

static gboolean
apply_mask (UmedptTilePlan *self, GError **error)
{
  g_autoptr (UmedptTissueMask) mask = NULL;
  double side = get_side (self);
  guint64 column, row;

  if (self->options.tissue == UMEDPT_TISSUE_NONE)
    return TRUE;
  mask = umedpt_tissue_mask_new (self->slide, self->slide_mpp, error);
  if (mask == NULL)
    return FALSE;
  self->cells = g_array_new (FALSE, FALSE, sizeof (Cell));
  for (guint64 i = 0; i < self->columns * self->rows; i++) {
    double tissue;

    grid_cell (self, i, &column, &row);
    tissue = umedpt_tissue_mask_fraction (mask,
        (double) position (self, self->x, column),
        (double) position (self, self->y, row), side, side);
    if (tissue > 0 && tissue >= self->options.min_tissue) {
      Cell cell = { (guint32) column, (guint32) row, (float) tissue };

      g_array_append_val (self->cells, cell);
    }
  }
  self->n_tiles = self->cells->len;
  return TRUE;
}

static void
add_number (GString *text, const char *name, double value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append_printf (text, "%s %s\n", name,
      g_ascii_dtostr (buffer, sizeof buffer, value));
}

static void
make_hash (UmedptTilePlan *self)
{
  g_autofree char *identity = umedpt_slide_get_identity (self->slide);
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GString) text = g_string_new ("umedpt tile plan 1\n");

  g_string_append_printf (text, "slide %s\nreader %s, openslide %s\n", identity,
      umedpt_slide_get_vendor (self->slide), openslide_get_version ());
  add_number (text, "downsample", self->downsample);
  g_string_append_printf (text,
      "tile %d\noverlap %d\nregion %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
      " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
      "\ntissue %d\norder %d\ntiles %" G_GUINT64_FORMAT "\n",
      self->options.tile_size, self->options.overlap, self->x, self->y,
      self->width, self->height, (int) self->options.tissue,
      (int) self->options.order, self->n_tiles);
  g_checksum_update (checksum, (const guchar *) text->str, (gssize) text->len);
  for (guint i = 0; self->cells != NULL && i < self->cells->len; i++) {
    const Cell *cell = &g_array_index (self->cells, Cell, i);
    guint32 at[2] = { GUINT32_TO_LE (cell->column), GUINT32_TO_LE (cell->row) };

    g_checksum_update (checksum, (const guchar *) at, sizeof at);
  }
  self->hash = g_strdup (g_checksum_get_string (checksum));
}

/**
 * umedpt_tile_plan_new:
 * @slide: a slide
 * @options: what to cut it into; see tiles.h
 * @error: return location for an error
 *
 * Lays out the tiles of a slide. With a tissue mask this reads the whole slide
 * at low power, which may take seconds; a part of it that cannot be read
 * counts as tissue, so that its tiles are reported and not lost.
 *
 * Returns: (transfer full) (nullable): the plan, which may be empty, or %NULL
 *   with @error set, mostly %UMEDPT_ERROR_SETTINGS
 *
 * Since: 0.1
 */
UmedptTilePlan *
umedpt_tile_plan_new (UmedptSlide *slide, const UmedptTileOptions *options,
    GError **error)
{
  g_autoptr (UmedptTilePlan) self = NULL;

  g_return_val_if_fail (UMEDPT_IS_SLIDE (slide), NULL);
  g_return_val_if_fail (options != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (!check_options (options, slide, error))
    return NULL;
  self = g_object_new (UMEDPT_TYPE_TILE_PLAN, NULL);
  self->slide = g_object_ref (slide);
  self->options = *options;
  if (!find_scale (self, error) || !find_region (self, error) ||
      !lay_grid (self, error) || !apply_mask (self, error))
    return NULL;
  make_hash (self);
  return g_steal_pointer (&self);
}

/**
 * umedpt_tile_plan_get_slide:
 * @self: a plan
 *
 * Returns: (transfer none): the slide
 *
 * Since: 0.1
 */
UmedptSlide *
umedpt_tile_plan_get_slide (UmedptTilePlan *self)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), NULL);
  return self->slide;
}

/**
 * umedpt_tile_plan_get_options:
 * @self: a plan
 *
 * Returns: (transfer none): the options as they were given
 *
 * Since: 0.1
 */
const UmedptTileOptions *
umedpt_tile_plan_get_options (UmedptTilePlan *self)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), NULL);
  return &self->options;
}

/**
 * umedpt_tile_plan_get_n_tiles:
 * @self: a plan
 *
 * Returns: the number of tiles, which may be 0
 *
 * Since: 0.1
 */
guint64
umedpt_tile_plan_get_n_tiles (UmedptTilePlan *self)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), 0);
  return self->n_tiles;
}

/**
 * umedpt_tile_plan_get_n_skipped:
 * @self: a plan
 *
 * Returns: the number of tiles of the grid without enough tissue
 *
 * Since: 0.1
 */
guint64
umedpt_tile_plan_get_n_skipped (UmedptTilePlan *self)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), 0);
  return self->columns * self->rows - self->n_tiles;
}

static double
share_inside (gint64 start, double side, gint64 size)
{
  double inside = MIN ((double) start + side, (double) size) - (double) start;

  return CLAMP (inside / side, 0.0, 1.0);
}

/**
 * umedpt_tile_plan_get_tile:
 * @self: a plan
 * @index: 0 to the number of tiles - 1
 * @tile: (out caller-allocates): the tile
 *
 * Since: 0.1
 */
void
umedpt_tile_plan_get_tile (UmedptTilePlan *self, guint64 index,
    UmedptTile *tile)
{
  const UmedptSlideLevel *full;
  guint64 column, row;
  double side;

  g_return_if_fail (UMEDPT_IS_TILE_PLAN (self));
  g_return_if_fail (index < self->n_tiles && tile != NULL);

  full = umedpt_slide_get_level (self->slide, 0);
  side = get_side (self);
  tile->tissue = 1.0;
  if (self->cells != NULL) {
    const Cell *cell = &g_array_index (self->cells, Cell, index);

    column = cell->column;
    row = cell->row;
    tile->tissue = (double) cell->tissue;
  } else {
    grid_cell (self, index, &column, &row);
  }
  tile->index = index;
  tile->x = position (self, self->x, column);
  tile->y = position (self, self->y, row);
  tile->width = tile->height = (gint64) floor (side + 0.5);
  tile->mpp = self->mpp;
  tile->valid = share_inside (tile->x, side, full->width) *
      share_inside (tile->y, side, full->height);
}

/**
 * umedpt_tile_plan_get_downsample:
 * @self: a plan
 *
 * Returns: level-0 pixels per output pixel
 *
 * Since: 0.1
 */
double
umedpt_tile_plan_get_downsample (UmedptTilePlan *self)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), 0);
  return self->downsample;
}

/**
 * umedpt_tile_plan_get_mpp:
 * @self: a plan
 *
 * Returns: micrometres per output pixel; 0 when unknown
 *
 * Since: 0.1
 */
double
umedpt_tile_plan_get_mpp (UmedptTilePlan *self)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), 0);
  return self->mpp;
}

/**
 * umedpt_tile_plan_get_slide_mpp:
 * @self: a plan
 * @source: (out) (optional): where the number comes from
 *
 * Returns: micrometres per level-0 pixel as the plan takes them; 0 when unknown
 *
 * Since: 0.1
 */
double
umedpt_tile_plan_get_slide_mpp (UmedptTilePlan *self, UmedptMppSource *source)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), 0);
  if (source != NULL)
    *source = self->source;
  return self->slide_mpp;
}

/**
 * umedpt_tile_plan_get_hash:
 * @self: a plan
 *
 * Returns: SHA-256 in hexadecimal of the slide's identity (quickhash, or name,
 *   and size), the settled geometry, the list of tiles and the readers'
 *   versions
 *
 * Since: 0.1
 */
const char *
umedpt_tile_plan_get_hash (UmedptTilePlan *self)
{
  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (self), NULL);
  return self->hash;
}
