/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-synth: writes a synthetic whole slide that looks like a stained
 * section, and a JSON file beside it that says where every nucleus is. The
 * quick start runs on it, and tests lean on it.
 */
#include <locale.h>
#include <string.h>

#include <glib.h>

#include "data/synth.h"

static char *output, *truth;
static double mpp = 0.25;
static gint64 width = 20000, height = 15000, seed = 1, nuclei = -1;
static gint quality = 90, threads;
static gboolean no_mpp, absurd_dpi;

static const GOptionEntry entries[] = { { "output", 'o', 0,
                                            G_OPTION_ARG_FILENAME, &output,
                                            "The slide to write", "FILE.tiff" },
  { "truth", 0, 0, G_OPTION_ARG_FILENAME, &truth,
      "Where to write what it shows (FILE.truth.json)", "FILE.json" },
  { "width", 0, 0, G_OPTION_ARG_INT64, &width, "Pixels (20000)", "N" },
  { "height", 0, 0, G_OPTION_ARG_INT64, &height, "Pixels (15000)", "N" },
  { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Another picture for each (1)",
      "N" },
  { "mpp", 0, 0, G_OPTION_ARG_DOUBLE, &mpp, "µm per pixel (0.25)", "X" },
  { "nuclei", 0, 0, G_OPTION_ARG_INT64, &nuclei,
      "How many exactly (as many as tissue has)", "N" },
  { "quality", 0, 0, G_OPTION_ARG_INT, &quality,
      "Of JPEG, 1 to 100; 0 is lossless (90)", "N" },
  { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "Threads (one per core)",
      "N" },
  { "no-mpp", 0, 0, G_OPTION_ARG_NONE, &no_mpp, "Write no resolution", NULL },
  { "absurd-dpi", 0, 0, G_OPTION_ARG_NONE, &absurd_dpi,
      "Write 72 dpi, as image programs do", NULL },
  { NULL } };

/* slide.tiff -> slide.truth.json */
static char *
truth_name (const char *path)
{
  const char *dot = strrchr (path, '.'), *slash = strrchr (path, '/');
  gsize n = dot != NULL && (slash == NULL || dot > slash + 1)
      ? (gsize) (dot - path)
      : strlen (path);

  return g_strdup_printf ("%.*s.truth.json", (int) n, path);
}

static gboolean
run (GError **error)
{
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;
  g_autofree char *name =
      truth != NULL ? g_strdup (truth) : truth_name (output);
  gint64 start = g_get_monotonic_time ();

  options.width = width;
  options.height = height;
  options.seed = (guint64) seed;
  options.mpp = mpp;
  options.n_nuclei = nuclei;
  options.quality = quality;
  options.no_mpp = no_mpp;
  options.absurd_dpi = absurd_dpi;
  options.n_threads = (guint) MAX (threads, 0);
  if (!umedpt_synth_write (output, name, &options, error))
    return FALSE;
  g_print ("Wrote %s (%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
           " pixels) and %s in %.1f s.\n",
      output, width, height, name,
      (double) (g_get_monotonic_time () - start) / 1e6);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = NULL;
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");
  context = g_option_context_new ("- write a synthetic whole slide");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("umedpt-synth: %s\n", error->message);
    return 2;
  }
  if (output == NULL || argc > 1) {
    g_printerr ("umedpt-synth: give the slide to write as -o FILE.tiff, and no "
                "other file.\n");
    return 2;
  }
  if (!run (&error)) {
    g_printerr ("umedpt-synth: %s\n", error->message);
    return 1;
  }
  return 0;
}
