/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Features as one f32 tensor [N, D] that torch.load() reads, also with
 * weights_only=True: what CLAM and its descendants keep in pt_files/. The file
 * is a ZIP of stored members (zip-stored.h); "data.pkl" is a pickle of
 * protocol 2 that rebuilds the tensor over the bytes in "data/0"
 * (torch/serialization.py, torch/_utils.py; opcodes: Python's pickletools).
 *
 * The bytes come first, since their number is known last. Torch finds members
 * by name, so their order is free.
 */
#include "output/features-private.h"
#include "output/sidecar.h"
#include "output/zip-stored.h"

#include <string.h>

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "features are written in the byte order of the machine: little-endian"
#endif

typedef struct
{
  UmedptZipStored *zip;
  UmedptSidecar *sidecar;
  guint n_features;
  guint64 n_rows;
} PtFeatures;

/* Opcodes of pickle. */
enum
{
  PROTO = 0x80,
  GLOBAL = 'c',
  MARK = '(',
  TUPLE = 't',
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  EMPTY_TUPLE = ')',
  BINUNICODE = 'X',
  BININT = 'J',
  LONG1 = 0x8a,
  NEWFALSE = 0x89,
  BINPERSID = 'Q',
  REDUCE = 'R',
  STOP = '.',
};

static void
put_op (GByteArray *pickle, guint8 op)
{
  g_byte_array_append (pickle, &op, 1);
}

static void
put_global (GByteArray *pickle, const char *module_and_name)
{
  put_op (pickle, GLOBAL);
  g_byte_array_append (pickle, (const guint8 *) module_and_name,
      strlen (module_and_name));
}

static void
put_string (GByteArray *pickle, const char *string)
{
  guint32 length = GUINT32_TO_LE (strlen (string));

  put_op (pickle, BINUNICODE);
  g_byte_array_append (pickle, (const guint8 *) &length, sizeof length);
  g_byte_array_append (pickle, (const guint8 *) string, strlen (string));
}

static void
put_int (GByteArray *pickle, guint64 value)
{
  if (value <= G_MAXINT32) {
    gint32 small = GINT32_TO_LE ((gint32) value);

    put_op (pickle, BININT);
    g_byte_array_append (pickle, (const guint8 *) &small, sizeof small);
  } else {
    guint64 large = GUINT64_TO_LE (value);

    put_op (pickle, LONG1);
    put_op (pickle, sizeof large);
    g_byte_array_append (pickle, (const guint8 *) &large, sizeof large);
  }
}

/* torch._utils._rebuild_tensor_v2 (storage, offset, size, stride,
 * requires_grad, backward_hooks); size is (0,) while D is unknown. */
static GByteArray *
make_pickle (guint64 n_rows, guint n_features)
{
  GByteArray *pickle = g_byte_array_new ();

  put_op (pickle, PROTO);
  put_op (pickle, 2);
  put_global (pickle, "torch._utils\n_rebuild_tensor_v2\n");
  put_op (pickle, MARK);
  put_op (pickle, MARK);
  put_string (pickle, "storage");
  put_global (pickle, "torch\nFloatStorage\n");
  put_string (pickle, "0");
  put_string (pickle, "cpu");
  put_int (pickle, n_rows * n_features);
  put_op (pickle, TUPLE);
  put_op (pickle, BINPERSID);
  put_int (pickle, 0);
  put_int (pickle, n_rows);
  if (n_features)
    put_int (pickle, n_features);
  put_op (pickle, n_features ? TUPLE2 : TUPLE1);
  if (n_features)
    put_int (pickle, n_features);
  put_int (pickle, 1);
  put_op (pickle, n_features ? TUPLE2 : TUPLE1);
  put_op (pickle, NEWFALSE);
  put_global (pickle, "collections\nOrderedDict\n");
  put_op (pickle, EMPTY_TUPLE);
  put_op (pickle, REDUCE);
  put_op (pickle, TUPLE);
  put_op (pickle, REDUCE);
  put_op (pickle, STOP);
  return pickle;
}

static void
pt_free (gpointer file)
{
  PtFeatures *self = file;

  if (!self)
    return;
  g_clear_pointer (&self->zip, umedpt_zip_stored_free);
  g_clear_pointer (&self->sidecar, umedpt_sidecar_free);
  g_free (self);
}

static gpointer
pt_open (const char *path, gboolean overwrite,
    const UmedptFeatureRecord *record, GError **error)
{
  PtFeatures *self = g_new0 (PtFeatures, 1);

  self->zip = umedpt_zip_stored_new (path, overwrite, error);
  if (self->zip && umedpt_zip_stored_begin (self->zip, "archive/data/0", error))
    self->sidecar = umedpt_sidecar_new (path, overwrite, record, error);
  if (self->sidecar)
    return self;
  pt_free (self);
  return NULL;
}

static gboolean
pt_append (gpointer file, gint64 x, gint64 y, const gfloat *row,
    guint n_features, GError **error)
{
  PtFeatures *self = file;

  if (!umedpt_zip_stored_write (self->zip, row, n_features * sizeof (gfloat),
          error) ||
      !umedpt_sidecar_append (self->sidecar, x, y, error))
    return FALSE;
  self->n_features = n_features;
  self->n_rows++;
  return TRUE;
}

static gboolean
pt_finish (gpointer file, GError **error)
{
  PtFeatures *self = file;
  g_autoptr (GByteArray) pickle = make_pickle (self->n_rows, self->n_features);

  if (!umedpt_zip_stored_end (self->zip, error) ||
      !umedpt_zip_stored_add (self->zip, "archive/data.pkl", pickle->data,
          pickle->len, error) ||
      !umedpt_zip_stored_add (self->zip, "archive/byteorder", "little", 6,
          error) ||
      !umedpt_zip_stored_add (self->zip, "archive/version", "3\n", 2, error) ||
      !umedpt_zip_stored_complete (self->zip, error) ||
      !umedpt_sidecar_commit (self->sidecar, error))
    return FALSE;
  if (umedpt_zip_stored_commit (self->zip, error))
    return TRUE;
  umedpt_sidecar_withdraw (self->sidecar);
  return FALSE;
}

const UmedptFeatureFormat umedpt_feature_format_pt = {
  { ".pt" },
  pt_open,
  pt_append,
  pt_finish,
  pt_free,
};
