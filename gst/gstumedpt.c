/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The plugin: one shared object for the whole family. Loading it needs no
 * model, device or driver; elements are never plugged automatically.
 */
#include <gst/gst.h>

#include "common/gstumedptmetaprivate.h"
#include "common/gstumedptresultsprivate.h"
#include "inference/gstumedptdetect.h"
#include "inference/gstumedptembed.h"
#include "inference/gstumedptsegment.h"
#include "json/gstumedptjson.h"
#include "overlay/gstumedptoverlay.h"
#include "slide/gstumedptslidesink.h"
#include "slide/gstumedptslidesrc.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  gst_umedpt_meta_register ();
  gst_umedpt_results_register ();
  return GST_ELEMENT_REGISTER (umedptslidesrc, plugin) &&
      GST_ELEMENT_REGISTER (umedptembed, plugin) &&
      GST_ELEMENT_REGISTER (umedptsegment, plugin) &&
      GST_ELEMENT_REGISTER (umedptdetect, plugin) &&
      GST_ELEMENT_REGISTER (umedptjson, plugin) &&
      GST_ELEMENT_REGISTER (umedptoverlay, plugin) &&
      GST_ELEMENT_REGISTER (umedptslidesink, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, umedpt,
    "Whole slides and medical images through the UMedPT model", plugin_init,
    PACKAGE_VERSION, "LGPL", PACKAGE, PACKAGE_ORIGIN)
