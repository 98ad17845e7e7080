/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The squeezer: from the coarsest feature map F4 to one vector per image, z,
 * and a map of the same kind of features, Z, for dense heads.
 */
#pragma once

#include "net/description.h"
#include "net/policy-norm.h"

G_BEGIN_DECLS

typedef struct _UmedptSqueezer UmedptSqueezer;

UmedptSqueezer *umedpt_squeezer_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix, GError **error);
void umedpt_squeezer_free (UmedptSqueezer *self);
UmedptTensor *umedpt_squeezer_vector (UmedptSqueezer *self,
    UmedptContext *context, UmedptTensor *f4, UmedptTensor *map,
    GError **error);
UmedptTensor *umedpt_squeezer_map (UmedptSqueezer *self, UmedptContext *context,
    UmedptTensor *f4, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSqueezer, umedpt_squeezer_free)

G_END_DECLS
