/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs a fuzz target without a fuzzing engine: over each file of its corpus,
 * over each file cut off at every length, and over MUTATIONS seeded mutations
 * of each file. The same inputs on every run, so it serves as a test; under
 * ASan and UBSan it finds more. With a file instead of a folder it runs that
 * one input, to look at what an engine has found.
 * Usage: fuzz-TARGET CORPUS-FOLDER|FILE [MUTATIONS]
 */
#include <glib.h>
#include <string.h>

#include "base/random.h"
#include "fuzz.h"

#define MAX_CUTS 4096 /* lengths at which a file is cut off */

static guint64 n_runs;

/* The target gets memory of exactly this size, so that ASan sees one byte
 * beyond. */
static void
run (const guint8 *data, gsize size)
{
  guint8 *copy = g_malloc (MAX (size, 1));

  if (size)
    memcpy (copy, data, size);
  if (LLVMFuzzerTestOneInput (copy, size) != 0)
    g_error ("the target did not return 0");
  g_free (copy);
  n_runs++;
}

/* What parsers stumble over: limits of integers, structure, escapes. */
static const char *const words[] = { "0", "-1", "1e999", "4294967296",
  "9223372036854775807", "18446744073709551616", "NaN", "null", "true", "{",
  "}", "[", "]", "[[[[[[[[", "\"", "\\", "\\u0000", "\\ud800", ",", ":", "\xff",
  "\xc3", "//", "\"F64\"", "\"__metadata__\"", "\"dtype\"", "\"shape\"" };

/* Changes @data in one of the ways in which files break or are broken. */
static void
mutate (GByteArray *data, UmedptRandom *random)
{
  gsize at = data->len ? umedpt_random_below (random, data->len) : 0;
  gsize n = data->len
      ? 1 + umedpt_random_below (random, MIN (data->len - at, 16))
      : 0;
  guint kind = (guint) umedpt_random_below (random, 6);
  const char *word = words[umedpt_random_below (random, G_N_ELEMENTS (words))];
  g_autoptr (GByteArray) piece = g_byte_array_new ();

  if (!data->len)
    kind = 5;
  switch (kind) {
    case 0: /* a bit */
      data->data[at] ^= 1u << umedpt_random_below (random, 8);
      break;
    case 1: /* a byte */
      data->data[at] = (guint8) umedpt_random_next (random);
      break;
    case 2: /* some bytes lost */
      g_byte_array_remove_range (data, (guint) at, (guint) n);
      break;
    case 3: /* some bytes twice */
      g_byte_array_append (piece, data->data + at, data->len - (guint) at);
      g_byte_array_set_size (data, (guint) (at + n));
      g_byte_array_append (data, piece->data, piece->len);
      break;
    case 4: /* cut off */
      g_byte_array_set_size (data, (guint) at);
      break;
    default: /* a word put in */
      g_byte_array_append (piece, data->data + at, data->len - (guint) at);
      g_byte_array_set_size (data, (guint) at);
      g_byte_array_append (data, (const guint8 *) word, strlen (word));
      g_byte_array_append (data, piece->data, piece->len);
  }
}

static void
run_file (const char *path, guint n_mutations)
{
  g_autofree char *content = NULL;
  g_autofree char *name = g_path_get_basename (path);
  g_autoptr (GError) error = NULL;
  UmedptRandom random;
  gsize size;

  if (!g_file_get_contents (path, &content, &size, &error))
    g_error ("%s", error->message);
  run ((guint8 *) content, size);
  if (n_mutations == 0)
    return;
  for (gsize cut = 0; cut < size && cut < MAX_CUTS; cut++)
    run ((guint8 *) content, cut);
  umedpt_random_init_named (&random, 1, name);
  for (guint i = 0; i < n_mutations; i++) {
    g_autoptr (GByteArray) data = g_byte_array_new ();
    guint n = 1 + (guint) umedpt_random_below (&random, 4);

    g_byte_array_append (data, (guint8 *) content, (guint) size);
    while (n--)
      mutate (data, &random);
    run (data->data, data->len);
  }
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* The files of @folder in the order of their names. */
static GPtrArray *
list_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    g_ptr_array_add (list, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (list, compare_names);
  return list;
}

int
main (int argc, char **argv)
{
  guint n_mutations =
      argc > 2 ? (guint) g_ascii_strtoull (argv[2], NULL, 10) : 0;
  g_autoptr (GPtrArray) files = NULL;

  if (argc < 2) {
    g_printerr ("Usage: %s CORPUS-FOLDER|FILE [MUTATIONS]\n", argv[0]);
    return 2;
  }
  if (!g_file_test (argv[1], G_FILE_TEST_IS_DIR)) {
    run_file (argv[1], n_mutations);
    return 0;
  }
  files = list_files (argv[1]);
  for (guint i = 0; i < files->len; i++)
    run_file (g_ptr_array_index (files, i), n_mutations);
  g_print ("%u files, %" G_GUINT64_FORMAT " inputs\n", files->len, n_runs);
  return files->len > 0 ? 0 : 1; /* a corpus that is missing is no success */
}
