/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * HDF5 keeps one error stack and one set of tables per process, so every
 * function here holds one mutex, and restores the program's error handler
 * (Python's h5py sets one) before it returns.
 *
 * What HDF5 cannot write is noticed by our file driver (h5-driver.h), which
 * tells HDF5 that all is well; so each function here asks the driver at its
 * end, and what HDF5 itself complains about are other things.
 */
#include "output/h5-calls.h"

#include <errno.h>
#include <hdf5.h>

#include "base/error.h"
#include "output/h5-driver.h"

struct _UmedptH5Array
{
  hid_t id, type;
  guint n_columns; /* 0 = one dimension */
  hsize_t n_rows;
};

struct _UmedptH5
{
  char *shown_path;
  char *message; /* HDF5's innermost, of the first failure */
  int error_number; /* the first of the driver, 0 = none */
  hid_t file, string_type;
  GPtrArray *arrays;
};

static GMutex lock;

/* Held while HDF5 is called. */
typedef struct
{
  H5E_auto2_t handler;
  void *data;
} Call;

static void
call_begin (Call *call)
{
  g_mutex_lock (&lock);
  H5open ();
  H5Eget_auto2 (H5E_DEFAULT, &call->handler, &call->data);
  H5Eset_auto2 (H5E_DEFAULT, NULL, NULL);
}

static void
call_end (Call *call)
{
  H5Eset_auto2 (H5E_DEFAULT, call->handler, call->data);
  g_mutex_unlock (&lock);
}

/* H5E_WALK_UPWARD begins with the innermost function. */
static herr_t
take_innermost (unsigned n, const H5E_error2_t *entry, void *data)
{
  char **message = data;

  if (n == 0 && entry->desc)
    *message = g_strdup (entry->desc);
  return 0;
}

/* Keeps the message before the next call to HDF5 clears its stack. */
static void
remember (UmedptH5 *self)
{
  if (!self->message)
    H5Ewalk2 (H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &self->message);
}

static gboolean
fail (UmedptH5 *self, const char *what, GError **error)
{
  int number = self->error_number;
  UmedptError code = UMEDPT_ERROR_IO;
  const char *reason, *advice = "";

  remember (self);
  reason = self->message ? self->message : "HDF5 does not say why";
  if (number)
    reason = g_strerror (number);
  if (number == ENOSPC || number == EDQUOT || number == EFBIG) {
    code = UMEDPT_ERROR_NO_SPACE;
    advice = " Free some space, or choose another disk.";
  }
  g_set_error (error, UMEDPT_ERROR, code, "Cannot %s '%s': %s.%s", what,
      self->shown_path, reason, advice);
  return FALSE;
}

/* Whether a group of calls went well, for HDF5 and for the driver. */
static gboolean
check (UmedptH5 *self, gboolean ok, const char *what, GError **error)
{
  return (ok && self->error_number == 0) || fail (self, what, error);
}

/* Closing the file closes what is open in it. */
static hid_t
create_file (UmedptH5 *self, int fd)
{
  hid_t access = H5Pcreate (H5P_FILE_ACCESS);
  hid_t file = -1;

  if (access >= 0 && H5Pset_fclose_degree (access, H5F_CLOSE_STRONG) >= 0 &&
      umedpt_h5_driver_set (access, fd, &self->error_number) >= 0)
    file = H5Fcreate (self->shown_path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (file < 0)
    remember (self);
  if (access >= 0)
    H5Pclose (access);
  return file;
}

UmedptH5 *
umedpt_h5_new (int fd, const char *shown_path, GError **error)
{
  g_autoptr (UmedptH5) self = g_new0 (UmedptH5, 1);
  gboolean ok;
  Call call;

  self->shown_path = g_strdup (shown_path);
  self->arrays = g_ptr_array_new ();
  call_begin (&call);
  self->string_type = H5Tcopy (H5T_C_S1);
  H5Tset_size (self->string_type, H5T_VARIABLE);
  H5Tset_cset (self->string_type, H5T_CSET_UTF8);
  self->file = create_file (self, fd);
  ok = check (self, self->file >= 0, "create", error);
  call_end (&call);
  return ok ? g_steal_pointer (&self) : NULL;
}

/* Chunks of at most @chunk_rows; a row too long for one is cut. */
static hid_t
create_data_set (UmedptH5 *self, const char *name, hid_t type, guint n_columns,
    guint chunk_rows)
{
  hsize_t size[2] = { 0, n_columns };
  hsize_t limit[2] = { H5S_UNLIMITED, n_columns };
  hsize_t chunk[2] = { chunk_rows, MIN (n_columns, 1u << 18) };
  int n_dims = n_columns ? 2 : 1;
  hid_t space = H5Screate_simple (n_dims, size, limit);
  hid_t properties = H5Pcreate (H5P_DATASET_CREATE);
  hid_t id = -1;

  if (space >= 0 && properties >= 0 &&
      H5Pset_chunk (properties, n_dims, chunk) >= 0 &&
      H5Pset_obj_track_times (properties, 0) >= 0)
    id = H5Dcreate2 (self->file, name, type, space, H5P_DEFAULT, properties,
        H5P_DEFAULT);
  if (id < 0)
    remember (self);
  if (space >= 0)
    H5Sclose (space);
  if (properties >= 0)
    H5Pclose (properties);
  return id;
}

UmedptH5Array *
umedpt_h5_add_array (UmedptH5 *self, const char *name, UmedptH5Type type,
    guint n_columns, guint chunk_rows, GError **error)
{
  UmedptH5Array *array = g_new0 (UmedptH5Array, 1);
  hid_t stored = self->string_type;
  Call call;

  g_ptr_array_add (self->arrays, array);
  array->n_columns = n_columns;
  call_begin (&call);
  array->type = self->string_type;
  if (type == UMEDPT_H5_F32) {
    array->type = H5T_NATIVE_FLOAT;
    stored = H5T_IEEE_F32LE;
  } else if (type == UMEDPT_H5_I64) {
    array->type = H5T_NATIVE_INT64;
    stored = H5T_STD_I64LE;
  }
  array->id = create_data_set (self, name, stored, n_columns, chunk_rows);
  if (!check (self, array->id >= 0, "create a data set in", error))
    array = NULL;
  call_end (&call);
  return array;
}

static gboolean
append_rows (UmedptH5 *self, UmedptH5Array *array, gconstpointer rows,
    guint n_rows)
{
  hsize_t start[2] = { array->n_rows, 0 };
  hsize_t count[2] = { n_rows, array->n_columns };
  hsize_t size[2] = { array->n_rows + n_rows, array->n_columns };
  hid_t file_space = -1, memory_space = -1;
  gboolean ok = H5Dset_extent (array->id, size) >= 0 &&
      (file_space = H5Dget_space (array->id)) >= 0 &&
      (memory_space =
              H5Screate_simple (array->n_columns ? 2 : 1, count, NULL)) >= 0 &&
      H5Sselect_hyperslab (file_space, H5S_SELECT_SET, start, NULL, count,
          NULL) >= 0 &&
      H5Dwrite (array->id, array->type, memory_space, file_space, H5P_DEFAULT,
          rows) >= 0;

  if (!ok)
    remember (self);
  if (file_space >= 0)
    H5Sclose (file_space);
  if (memory_space >= 0)
    H5Sclose (memory_space);
  array->n_rows += n_rows;
  return ok;
}

gboolean
umedpt_h5_append (UmedptH5 *self, UmedptH5Array *array, gconstpointer rows,
    guint n_rows, GError **error)
{
  gboolean ok;
  Call call;

  if (n_rows == 0)
    return TRUE;
  call_begin (&call);
  ok = check (self, append_rows (self, array, rows, n_rows), "write", error);
  call_end (&call);
  return ok;
}

static gboolean
set_attribute (UmedptH5 *self, hid_t object, const UmedptAttribute *attribute)
{
  hid_t stored = self->string_type, native = self->string_type;
  gconstpointer value = &attribute->s;
  hid_t space = H5Screate (H5S_SCALAR), id;
  gboolean ok;

  if (attribute->kind == UMEDPT_ATTRIBUTE_INT) {
    stored = H5T_STD_I64LE;
    native = H5T_NATIVE_INT64;
    value = &attribute->i;
  } else if (attribute->kind == UMEDPT_ATTRIBUTE_DOUBLE) {
    stored = H5T_IEEE_F64LE;
    native = H5T_NATIVE_DOUBLE;
    value = &attribute->d;
  }
  id = H5Acreate2 (object, attribute->name, stored, space, H5P_DEFAULT,
      H5P_DEFAULT);
  ok = id >= 0 && H5Awrite (id, native, value) >= 0;
  if (!ok)
    remember (self);
  if (id >= 0)
    H5Aclose (id);
  H5Sclose (space);
  return ok;
}

gboolean
umedpt_h5_set_attributes (UmedptH5 *self, UmedptH5Array *array,
    const UmedptAttribute *attributes, guint n, GError **error)
{
  gboolean ok = TRUE;
  Call call;

  call_begin (&call);
  for (guint i = 0; i < n && ok; i++)
    ok = set_attribute (self, array ? array->id : self->file, &attributes[i]);
  ok = check (self, ok, "write attributes to", error);
  call_end (&call);
  return ok;
}

gboolean
umedpt_h5_close (UmedptH5 *self, GError **error)
{
  gboolean ok;
  Call call;

  g_return_val_if_fail (self->file >= 0, FALSE);

  call_begin (&call);
  ok = check (self, H5Fclose (self->file) >= 0, "write", error);
  self->file = -1;
  call_end (&call);
  return ok;
}

void
umedpt_h5_free (UmedptH5 *self)
{
  Call call;

  if (!self)
    return;
  call_begin (&call);
  /* H5F_CLOSE_STRONG closes the data sets and attributes too. */
  if (self->file >= 0)
    H5Fclose (self->file);
  if (self->string_type > 0)
    H5Tclose (self->string_type);
  call_end (&call);
  for (guint i = 0; i < self->arrays->len; i++)
    g_free (self->arrays->pdata[i]);
  g_ptr_array_unref (self->arrays);
  g_free (self->message);
  g_free (self->shown_path);
  g_free (self);
}
