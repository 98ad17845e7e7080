/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The frames of clips that were used last. One decoding serves all frames
 * between two key frames: those that will be wanted are kept as bytes, the last
 * used ones up to a limit. Where they are more than fit, as many as fill half of
 * it are kept before the one asked for and as many from it on, so that reading
 * in order goes forward by a stretch each time, and not by a frame.
 */
#include "data/clip-private.h"

#include "base/error.h"
#include "data/image-file.h"

typedef struct
{
  char *path;
  GHashTable *wanted; /* numbers */
  GMutex lock; /* guards all below; taken before that of UmedptClips */
  UmedptClipIndex *index; /* NULL: not read yet */
} Clip;

typedef struct
{
  const Clip *clip;
  guint number;
  gint width, height;
  guint8 *rgb;
  gatomicrefcount refs;
  GList link; /* in the queue of use */
} Frame;

struct _UmedptClips
{
  gsize max_bytes;
  GMutex lock; /* guards all below */
  GHashTable *clips; /* by path */
  GHashTable *frames; /* a set of Frame, by clip and number; not owned */
  GQueue used; /* the last used first; owns the frames */
  gsize bytes;
};

/* One decoding. */
typedef struct
{
  UmedptClips *clips;
  Clip *clip;
  guint target;
  gsize before, after; /* bytes taken */
  Frame *found;
} Round;

static void
clip_free (gpointer data)
{
  Clip *clip = data;

  g_free (clip->path);
  g_hash_table_unref (clip->wanted);
  g_mutex_clear (&clip->lock);
  g_clear_pointer (&clip->index, umedpt_clip_index_free);
  g_free (clip);
}

static gsize
frame_bytes (const Frame *frame)
{
  return sizeof (Frame) + (gsize) frame->width * (gsize) frame->height * 3;
}

static Frame *
frame_ref (Frame *frame)
{
  g_atomic_ref_count_inc (&frame->refs);
  return frame;
}

static void
frame_unref (Frame *frame)
{
  if (!g_atomic_ref_count_dec (&frame->refs))
    return;
  g_free (frame->rgb);
  g_free (frame);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Frame, frame_unref)

static guint
frame_hash (gconstpointer data)
{
  const Frame *frame = data;

  return g_direct_hash (frame->clip) ^ (frame->number * 2654435761u);
}

static gboolean
frame_equal (gconstpointer a, gconstpointer b)
{
  const Frame *one = a, *other = b;

  return one->clip == other->clip && one->number == other->number;
}

UmedptClips *
umedpt_clips_new (gsize max_bytes)
{
  UmedptClips *self = g_new0 (UmedptClips, 1);

  self->max_bytes = max_bytes;
  g_mutex_init (&self->lock);
  self->clips =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, clip_free);
  self->frames = g_hash_table_new (frame_hash, frame_equal);
  g_queue_init (&self->used);
  return self;
}

void
umedpt_clips_free (UmedptClips *self)
{
  GList *link;

  if (self == NULL)
    return;
  g_hash_table_unref (self->frames);
  while ((link = g_queue_pop_head_link (&self->used)) != NULL)
    frame_unref (link->data);
  g_hash_table_unref (self->clips);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static Clip *
find_clip (UmedptClips *self, const char *path)
{
  Clip *clip;

  g_mutex_lock (&self->lock);
  clip = g_hash_table_lookup (self->clips, path);
  if (clip == NULL) {
    clip = g_new0 (Clip, 1);
    clip->path = g_strdup (path);
    clip->wanted = g_hash_table_new (NULL, NULL);
    g_mutex_init (&clip->lock);
    g_hash_table_insert (self->clips, clip->path, clip);
  }
  g_mutex_unlock (&self->lock);
  return clip;
}

void
umedpt_clips_want (UmedptClips *self, const char *path, guint number)
{
  Clip *clip = find_clip (self, path);

  g_hash_table_add (clip->wanted, GUINT_TO_POINTER (number));
}

/* (transfer full) (nullable) */
static Frame *
look_up (UmedptClips *self, const Clip *clip, guint number)
{
  const Frame key = { .clip = clip, .number = number };
  Frame *frame;

  g_mutex_lock (&self->lock);
  frame = g_hash_table_lookup (self->frames, &key);
  if (frame != NULL) {
    g_queue_unlink (&self->used, &frame->link);
    g_queue_push_head_link (&self->used, &frame->link);
    frame_ref (frame);
  }
  g_mutex_unlock (&self->lock);
  return frame;
}

/* Takes a reference of its own. */
static void
keep (UmedptClips *self, Frame *frame)
{
  if (frame_bytes (frame) > self->max_bytes)
    return;
  g_mutex_lock (&self->lock);
  /* it is not there yet: only one thread decodes a clip */
  g_hash_table_add (self->frames, frame);
  frame->link.data = frame_ref (frame);
  g_queue_push_head_link (&self->used, &frame->link);
  self->bytes += frame_bytes (frame);
  while (self->bytes > self->max_bytes) {
    Frame *old = g_queue_pop_tail_link (&self->used)->data;

    g_hash_table_remove (self->frames, old);
    self->bytes -= frame_bytes (old);
    frame_unref (old);
  }
  g_mutex_unlock (&self->lock);
}

static UmedptClipChoice
choose (guint number, gpointer data)
{
  Round *round = data;
  gsize half = round->clips->max_bytes / 2;

  if (number == round->target)
    return UMEDPT_CLIP_TAKE;
  if (number > round->target && round->after >= half)
    return UMEDPT_CLIP_STOP;
  if (number < round->target && round->before >= half)
    return UMEDPT_CLIP_SKIP;
  return g_hash_table_contains (round->clip->wanted, GUINT_TO_POINTER (number))
      ? UMEDPT_CLIP_TAKE
      : UMEDPT_CLIP_SKIP;
}

static void
take (guint number, guint8 *rgb, gint width, gint height, gpointer data)
{
  Round *round = data;
  g_autoptr (Frame) frame = look_up (round->clips, round->clip, number);

  if (frame != NULL) {
    g_free (rgb);
  } else {
    frame = g_new0 (Frame, 1);
    g_atomic_ref_count_init (&frame->refs);
    frame->clip = round->clip;
    frame->number = number;
    frame->width = width;
    frame->height = height;
    frame->rgb = rgb;
    keep (round->clips, frame);
  }
  if (number < round->target)
    round->before += frame_bytes (frame);
  else
    round->after += frame_bytes (frame);
  if (number == round->target && round->found == NULL)
    round->found = g_steal_pointer (&frame);
}

/* With the clip's lock held. */
static gboolean
ensure_index (Clip *clip, GError **error)
{
  if (clip->index == NULL)
    clip->index = umedpt_clip_index_new (clip->path, error);
  return clip->index != NULL;
}

guint
umedpt_clips_count (UmedptClips *self, const char *path, GError **error)
{
  Clip *clip = find_clip (self, path);
  guint n;

  g_mutex_lock (&clip->lock);
  n = ensure_index (clip, error) ? clip->index->n_frames : 0;
  g_mutex_unlock (&clip->lock);
  return n;
}

/* (transfer full) (nullable); with the clip's lock held. */
static Frame *
decode (UmedptClips *self, Clip *clip, guint number, GError **error)
{
  Round round = { self, clip, number };
  const UmedptClipSink sink = { choose, take, &round };

  /* the thread that had the lock may have decoded it */
  round.found = look_up (self, clip, number);
  if (round.found != NULL || !ensure_index (clip, error))
    return round.found;
  if (number >= clip->index->n_frames) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "“%s” has %u frames, from 0 to %u; there is no frame %u.", clip->path,
        clip->index->n_frames, clip->index->n_frames - 1, number);
    return NULL;
  }
  if (!umedpt_clip_decode (clip->path, clip->index, number, &sink, error))
    g_clear_pointer (&round.found, frame_unref);
  return round.found;
}

UmedptImageFile *
umedpt_clips_read (UmedptClips *self, const char *path, guint number,
    GError **error)
{
  Clip *clip = find_clip (self, path);
  g_autoptr (Frame) frame = look_up (self, clip, number);
  UmedptImageFile *image;
  gsize n;

  if (frame == NULL) {
    g_mutex_lock (&clip->lock);
    frame = decode (self, clip, number, error);
    g_mutex_unlock (&clip->lock);
  }
  if (frame == NULL)
    return NULL;
  image = umedpt_image_file_alloc ((guint64) frame->width,
      (guint64) frame->height, 3, 255, UMEDPT_IMAGE_READ_PIXELS, error);
  if (image == NULL) {
    g_prefix_error (error, "Frame %u of “%s”: ", number, path);
    return NULL;
  }
  n = (gsize) frame->width * (gsize) frame->height * 3;
  for (gsize i = 0; i < n; i++)
    image->data[i] = frame->rgb[i];
  return image;
}
