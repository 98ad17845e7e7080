/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * This installation: version, backends, processor, formats.
 */
#include <hdf5.h>
#include <openslide.h>
#include <png.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <string.h>
#include <tiffio.h>
#include <jpeglib.h>
#include <umedpt.h>
#ifdef HAVE_FFMPEG
#include <libavutil/avutil.h>
#endif

#include "info.h"

/* What kernels of ours, of oneDNN or of OpenSlide's codecs can make use of. */
static const char *const features[] = { "sse4_2", "avx", "f16c", "fma", "avx2",
  "avx_vnni", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni",
  "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd",
  "sve", "bf16", NULL };

static void
add_backends (Report *report)
{
  g_autoptr (GArray) list = umedpt_devices_list ();

  report_section (report, "Backends", "backends");
  for (guint i = 0; i < list->len; i++) {
    const UmedptDeviceInfo *info = &g_array_index (list, UmedptDeviceInfo, i);
    g_autofree char *quoted =
        report_quote (info->problem ? info->problem : info->description);
    g_autofree char *json = g_strdup_printf ("{\"works\": %s, \"%s\": %s}",
        info->problem ? "false" : "true",
        info->problem ? "problem" : "description", quoted);
    g_autofree char *text = info->problem
        ? g_strdup_printf ("not available: %s", info->problem)
        : g_strdup (info->description);

    report_both (report, info->name, info->name, text, json);
  }
}

/* The value of the first line of /proc/cpuinfo that begins with one of two
 * keys (x86, ARM); NULL without one. */
static char *
find_cpu_line (char **lines, const char *key, const char *other)
{
  for (guint i = 0; lines[i]; i++)
    if (g_str_has_prefix (lines[i], key) ||
        g_str_has_prefix (lines[i], other)) {
      const char *colon = strchr (lines[i], ':');
      return colon ? g_strstrip (g_strdup (colon + 1)) : NULL;
    }
  return NULL;
}

static void
add_features (Report *report, const char *flags)
{
  g_auto (GStrv) words = g_strsplit (flags, " ", -1);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) json = g_string_new ("[");

  for (guint i = 0; features[i]; i++)
    if (g_strv_contains ((const char *const *) words, features[i])) {
      g_string_append_printf (text, "%s%s", text->len ? " " : "", features[i]);
      g_string_append_printf (json, "%s\"%s\"", json->len > 1 ? ", " : "",
          features[i]);
    }
  g_string_append_c (json, ']');
  report_both (report, "features", "features", text->len ? text->str : "none",
      json->str);
}

static void
add_processor (Report *report)
{
  g_autofree char *content = NULL;
  g_auto (GStrv) lines = NULL;
  g_autofree char *name = NULL;
  g_autofree char *flags = NULL;
  g_autofree char *cores = g_strdup_printf ("%u", g_get_num_processors ());
  const char *limit = g_getenv ("UMEDPT_CPU");

  report_section (report, "Processor", "processor");
  if (g_file_get_contents ("/proc/cpuinfo", &content, NULL, NULL)) {
    lines = g_strsplit (content, "\n", -1);
    name = find_cpu_line (lines, "model name", "CPU part");
    flags = find_cpu_line (lines, "flags", "Features");
  }
  report_text (report, "model", "model", "%s", name ? name : "unknown");
  report_both (report, "cores for us", "cores", cores, cores);
  add_features (report, flags ? flags : "");
  if (limit)
    report_text (report, "UMEDPT_CPU", "limit", "%s", limit);
}

static void
add_formats (Report *report)
{
  g_auto (GStrv) tiff = g_strsplit (TIFFGetVersion (), "\n", 2);
  const char *tiff_number = strrchr (tiff[0], ' ');
  unsigned major = 0, minor = 0, release = 0;

  report_section (report, "Formats", "formats");
  report_text (report, "OpenSlide", "openslide",
      "%s, whole slides of all vendors", openslide_get_version ());
  report_text (report, "libtiff", "libtiff", "%s, other TIFF files",
      tiff_number ? tiff_number + 1 : tiff[0]);
#ifdef LIBJPEG_TURBO_VERSION
  report_text (report, "libjpeg", "libjpeg", "turbo %s, JPEG images",
      G_STRINGIFY (LIBJPEG_TURBO_VERSION));
#else
  report_text (report, "libjpeg", "libjpeg", "%d, JPEG images",
      JPEG_LIB_VERSION);
#endif
  report_text (report, "libpng", "libpng", "%s, PNG images",
      png_get_libpng_ver (NULL));
#ifdef HAVE_FFMPEG
  report_text (report, "FFmpeg", "ffmpeg", "%s, clips of video",
      av_version_info ());
#else
  report_text (report, "FFmpeg", "ffmpeg",
      "not built in: clips have to be unpacked for training");
#endif
  H5get_libversion (&major, &minor, &release);
  report_text (report, "HDF5", "hdf5", "%u.%u.%u, features of slides", major,
      minor, release);
}

/* All of it. */
void
info_system (Report *report)
{
  report_section (report, "UMedPT in C", "umedpt");
  report_text (report, "version", "version", "%s", umedpt_get_version ());
  report_text (report, "GLib", "glib", "%u.%u.%u", glib_major_version,
      glib_minor_version, glib_micro_version);
  add_backends (report);
  add_processor (report);
  add_formats (report);
}
