/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the parameter store share: its entries.
 */
#pragma once

#include "nn/parameters.h"

G_BEGIN_DECLS

typedef struct
{
  char *name;
  UmedptParameterSpec spec;
  UmedptTensor **slot; /* NULL: a buffer */
  UmedptTensor *tensor; /* what *slot shows; of a buffer, what it must be */
} UmedptParameter;

struct _UmedptParameters
{
  GPtrArray *entries; /* sorted by name when `sorted` */
  GHashTable *by_name; /* of entries */
  gboolean sorted;
  guint64 generation;
};

/* In the order of names. */
UmedptParameter *umedpt_parameters_nth (UmedptParameters *self, guint index);
gboolean umedpt_parameter_set (UmedptParameter *entry, UmedptTensor *tensor,
    GError **error);

G_END_DECLS
