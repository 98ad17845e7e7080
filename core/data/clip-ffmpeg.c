/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clips by FFmpeg's libraries (5.1 or later). Frame N is the one with the N-th
 * time stamp of the file's packets, which are read once without decoding; where
 * packets have none (bare H.264), frames are counted as they are decoded. Only
 * local files of formats that hold their data themselves are opened: play lists
 * would lead elsewhere. What a damaged stream conceals is refused.
 */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>

#include "base/error.h"
#include "data/clip-ffmpeg.h"
#include "data/clip-private.h"

#define MAX_FRAMES (1u << 24)
#define CONTAINERS \
  "mov,matroska,webm,avi,mpeg,mpegvideo,mpegts,m4v,h264,hevc,asf,flv,ogg," \
  "mxf,dv,ivf,gif,yuv4mpegpipe"

typedef struct
{
  const char *path;
  AVFormatContext *format;
  gint stream;
  AVCodecContext *codec;
  AVPacket *packet;
  AVFrame *frame;
  struct SwsContext *scale;

  guint counter; /* frames that came out */
  gint keys_in, keys_out; /* key frames put in and got out */
  gint bad_key; /* frames up to the key frame after this one are damaged; -1 */
} Reader;

static void
reader_clear (Reader *self)
{
  sws_freeContext (self->scale);
  av_frame_free (&self->frame);
  av_packet_free (&self->packet);
  avcodec_free_context (&self->codec);
  avformat_close_input (&self->format);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reader, reader_clear)

gboolean
umedpt_clips_supported (void)
{
  return TRUE;
}

void
umedpt_clip_index_free (UmedptClipIndex *self)
{
  g_clear_pointer (&self->times, g_array_unref);
  g_clear_pointer (&self->keys, g_array_unref);
  g_free (self);
}

static gboolean
fail (const Reader *self, gint code, GError **error, const char *problem)
{
  char text[AV_ERROR_MAX_STRING_SIZE] = "";

  if (code < 0)
    av_strerror (code, text, sizeof text);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT, "“%s” %s%s%s%s.",
      self->path, problem, code < 0 ? " (" : "", text, code < 0 ? ")" : "");
  return FALSE;
}

static gboolean
find_stream (Reader *self, GError **error)
{
  const AVStream *stream;
  gint code;

  code = avformat_find_stream_info (self->format, NULL);
  if (code < 0)
    return fail (self, code, error, "is damaged: its streams cannot be found");
  self->stream =
      av_find_best_stream (self->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
  if (self->stream < 0 ||
      self->format->streams[self->stream]->disposition &
          AV_DISPOSITION_ATTACHED_PIC)
    return fail (self, 0, error, "has no video stream");
  for (guint i = 0; i < self->format->nb_streams; i++)
    if ((gint) i != self->stream)
      self->format->streams[i]->discard = AVDISCARD_ALL;
  stream = self->format->streams[self->stream];
  if (stream->codecpar->width <= UMEDPT_IMAGE_MAX_SIDE &&
      stream->codecpar->height <= UMEDPT_IMAGE_MAX_SIDE)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "“%s” has frames of %d x %d pixels; expected at most %d per side.",
      self->path, stream->codecpar->width, stream->codecpar->height,
      UMEDPT_IMAGE_MAX_SIDE);
  return FALSE;
}

static gboolean
open_file (Reader *self, GError **error)
{
  g_autofree char *url = g_strconcat ("file:", self->path, NULL);
  AVDictionary *options = NULL;
  gint code;

  if (!g_file_test (self->path, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "“%s” is no file that can be read.", self->path);
    return FALSE;
  }
  av_dict_set (&options, "protocol_whitelist", "file", 0);
  av_dict_set (&options, "format_whitelist", CONTAINERS, 0);
  code = avformat_open_input (&self->format, url, NULL, &options);
  av_dict_free (&options);
  if (code < 0)
    return fail (self, code, error, "is no video clip that can be read");
  self->packet = av_packet_alloc ();
  self->frame = av_frame_alloc ();
  self->bad_key = -1;
  return find_stream (self, error);
}

static gboolean
open_codec (Reader *self, GError **error)
{
  const AVStream *stream = self->format->streams[self->stream];
  const AVCodec *codec = avcodec_find_decoder (stream->codecpar->codec_id);
  gint code;

  if (codec == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "“%s” is coded as %s, which this system's FFmpeg cannot decode.",
        self->path, avcodec_get_name (stream->codecpar->codec_id));
    return FALSE;
  }
  self->codec = avcodec_alloc_context3 (codec);
  code = avcodec_parameters_to_context (self->codec, stream->codecpar);
  self->codec->thread_count = 1; /* the loader has threads of its own */
  /* H.264 says which frames it had to conceal; others do so without a word */
  if (codec->id != AV_CODEC_ID_H264)
    self->codec->err_recognition |= AV_EF_EXPLODE;
  self->codec->max_pixels = UMEDPT_CLIP_MAX_PIXELS;
  self->codec->pkt_timebase = stream->time_base;
  if (code >= 0)
    code = avcodec_open2 (self->codec, codec, NULL);
  return code >= 0 || fail (self, code, error, "cannot be decoded");
}

/* The next packet of the stream; its end, also the one where the rest of the
 * file is missing, is FALSE. */
static gboolean
read_packet (Reader *self)
{
  do {
    av_packet_unref (self->packet);
    if (av_read_frame (self->format, self->packet) < 0)
      return FALSE;
  } while (self->packet->stream_index != self->stream ||
      self->packet->size == 0);
  return TRUE;
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  gint64 one = *(const gint64 *) a, other = *(const gint64 *) b;

  return (one > other) - (one < other);
}

/* -1: there is no frame of that time. */
static gint
find_time (const UmedptClipIndex *index, gint64 time)
{
  guint at;

  return g_array_binary_search (index->times, &time, compare_times, &at)
      ? (gint) at
      : -1;
}

/* Whether the file says that there is more after @end than one frame. */
static gboolean
is_cut (const Reader *self, guint n_packets, guint n_frames, gint64 start,
    gint64 end)
{
  const AVStream *stream = self->format->streams[self->stream];
  gint64 declared = self->format->duration;

  if (stream->nb_frames > 0)
    return stream->nb_frames > n_packets;
  if (self->format->nb_streams != 1 || declared <= 0 || n_frames < 2 ||
      self->format->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE)
    return FALSE;
  /* @end is where the last frame begins, one interval before it ends */
  return declared -
      av_rescale_q (end - start, stream->time_base, AV_TIME_BASE_Q) >
      av_rescale_q (end - start, stream->time_base, AV_TIME_BASE_Q) * 5 / 2 /
      (n_frames - 1);
}

static void
cut_times (GArray *times, gint64 end)
{
  while (times->len > 0 && g_array_index (times, gint64, times->len - 1) > end)
    g_array_set_size (times, times->len - 1);
}

/* Times of frames and of key frames; FALSE: they do not tell the frames. Where
 * a clip was cut, frames that are shown before its last ones may be missing, as
 * they are stored after those: what comes after the last but one of the frames
 * that are stored in order has no certain number, and does not count. */
static gboolean
read_times (Reader *self, GArray *times, GArray *keys)
{
  gint64 last = G_MININT64, before = G_MININT64;
  guint n_packets = 0;

  while (read_packet (self)) {
    gint64 time = self->packet->pts;

    n_packets++;
    if (self->packet->flags & AV_PKT_FLAG_DISCARD) /* cut by an edit list */
      continue;
    if (time == AV_NOPTS_VALUE || times->len >= MAX_FRAMES)
      return FALSE;
    g_array_append_val (times, time);
    if (self->packet->flags & AV_PKT_FLAG_KEY)
      g_array_append_val (keys, time);
    if (time > last) {
      before = last;
      last = time;
    }
  }
  g_array_sort (times, compare_times);
  g_array_sort (keys, compare_times);
  for (guint i = 1; i < times->len; i++)
    if (g_array_index (times, gint64, i) ==
        g_array_index (times, gint64, i - 1))
      return FALSE;
  if (times->len > 0 &&
      is_cut (self, n_packets, times->len, g_array_index (times, gint64, 0),
          last)) {
    cut_times (times, before);
    cut_times (keys, before);
  }
  return TRUE;
}

static gboolean
is_key (const AVFrame *frame)
{
#ifdef AV_FRAME_FLAG_KEY
  return (frame->flags & AV_FRAME_FLAG_KEY) != 0;
#else
  return frame->key_frame;
#endif
}

static void
put_packet (Reader *self)
{
  if ((self->packet->flags & AV_PKT_FLAG_KEY) &&
      !(self->packet->flags & AV_PKT_FLAG_DISCARD))
    self->keys_in++;
  if (avcodec_send_packet (self->codec, self->packet) < 0 ||
      (self->packet->flags & AV_PKT_FLAG_CORRUPT))
    self->bad_key = self->keys_in;
}

/* Puts the next packet in; FALSE at the end of all. */
static gboolean
feed (Reader *self)
{
  if (read_packet (self)) {
    put_packet (self);
    return TRUE;
  }
  avcodec_send_packet (self->codec, NULL);
  return FALSE;
}

/* The next frame, in the order of display; FALSE: there is none. */
static gboolean
next_frame (Reader *self, gboolean *more)
{
  for (;;) {
    gint code = avcodec_receive_frame (self->codec, self->frame);

    if (code == AVERROR_EOF)
      return FALSE;
    if (code < 0 && code != AVERROR (EAGAIN))
      self->bad_key = self->keys_in;
    if (code < 0) {
      if (!*more)
        return FALSE;
      *more = feed (self);
      continue;
    }
    self->keys_out += is_key (self->frame);
    if (self->frame->decode_error_flags != 0 ||
        self->frame->flags & AV_FRAME_FLAG_CORRUPT)
      self->bad_key = MAX (self->bad_key, self->keys_out);
    self->counter++;
    return TRUE;
  }
}

static gint
get_number (const Reader *self, const UmedptClipIndex *index)
{
  if (index->times == NULL)
    return (gint) self->counter - 1;
  return find_time (index,
      self->frame->pts != AV_NOPTS_VALUE ? self->frame->pts
                                         : self->frame->best_effort_timestamp);
}

/* One frame to the sink. FALSE: no more. @done: it was the target, or it failed
 * with @error set. */
static gboolean
hand_over (Reader *self, guint number, guint target, const UmedptClipSink *sink,
    gboolean *done, GError **error)
{
  UmedptClipChoice choice = sink->choose (number, sink->data);
  gboolean damaged = self->bad_key >= self->keys_out;
  guint8 *rgb;

  if (choice != UMEDPT_CLIP_TAKE)
    return choice == UMEDPT_CLIP_SKIP;
  rgb = damaged ? NULL : umedpt_clip_to_rgb (self->frame, &self->scale);
  if (rgb != NULL) {
    sink->take (number, rgb, self->frame->width, self->frame->height,
        sink->data);
    *done |= number == target;
  } else if (number == target) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA, "Frame %u of “%s” %s.",
        number, self->path,
        damaged ? "is damaged" : "cannot be converted to RGB");
    *done = TRUE;
  }
  return *done ? error == NULL || *error == NULL : TRUE;
}

/* To the packet of the key frame of @time. Some formats seek to a place near it
 * only, where decoding would begin with frames that lack what they refer to. */
static gboolean
seek (Reader *self, gint64 time)
{
  if (av_seek_frame (self->format, self->stream, time, AVSEEK_FLAG_BACKWARD) <
      0)
    return FALSE;
  while (read_packet (self))
    if (self->packet->pts == time)
      return TRUE;
  return FALSE;
}

static gboolean
decode_from (Reader *self, const UmedptClipIndex *index, guint first,
    guint target, const UmedptClipSink *sink, GError **error)
{
  gboolean done = FALSE, more = TRUE;

  if (first > 0) {
    if (!seek (self, g_array_index (index->times, gint64, first)))
      return FALSE;
    put_packet (self);
  }
  while (next_frame (self, &more)) {
    gint number = get_number (self, index);

    if (number < (gint) first)
      continue;
    if (index->times != NULL && number > (gint) target && is_key (self->frame))
      break;
    if (!hand_over (self, (guint) number, target, sink, &done, error))
      break;
  }
  return done;
}

/* The last key frame that is not after @target. */
static guint
find_key (const UmedptClipIndex *index, guint target)
{
  guint first = 0;

  for (guint i = 0; index->keys != NULL && i < index->keys->len; i++) {
    guint key = g_array_index (index->keys, guint, i);

    if (key <= target)
      first = key;
  }
  return first;
}

static gboolean
decode_quietly (const char *path, const UmedptClipIndex *index, guint target,
    const UmedptClipSink *sink, GError **error)
{
  guint first = find_key (index, target);

  /* some formats cannot seek to a given frame: then from the beginning */
  for (guint round = first > 0 ? 0 : 1; round < 2; round++) {
    g_auto (Reader) reader = { .path = path };
    GError *local = NULL;
    gboolean done;

    if (!open_file (&reader, error) || !open_codec (&reader, error))
      return FALSE;
    done = decode_from (&reader, index, round == 0 ? first : 0, target, sink,
        &local);
    if (local != NULL)
      g_propagate_error (error, local);
    if (done)
      return local == NULL;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "Frame %u of “%s” cannot be decoded; the clip is damaged.", target, path);
  return FALSE;
}

gboolean
umedpt_clip_decode (const char *path, const UmedptClipIndex *index,
    guint target, const UmedptClipSink *sink, GError **error)
{
  gboolean ok;

  umedpt_clip_begin_silence ();
  ok = decode_quietly (path, index, target, sink, error);
  umedpt_clip_end_silence ();
  return ok;
}

static gboolean
count_frames (const char *path, UmedptClipIndex *index, GError **error)
{
  g_auto (Reader) reader = { .path = path };
  gboolean more = TRUE;

  if (!open_file (&reader, error) || !open_codec (&reader, error))
    return FALSE;
  while (reader.counter < MAX_FRAMES && next_frame (&reader, &more))
    index->n_frames++;
  return TRUE;
}

static UmedptClipIndex *
index_quietly (const char *path, GError **error)
{
  g_auto (Reader) reader = { .path = path };
  g_autoptr (UmedptClipIndex) index = g_new0 (UmedptClipIndex, 1);
  g_autoptr (GArray) keys = g_array_new (FALSE, FALSE, sizeof (gint64));

  index->times = g_array_new (FALSE, FALSE, sizeof (gint64));
  if (!open_file (&reader, error))
    return NULL;
  if (read_times (&reader, index->times, keys)) {
    index->n_frames = index->times->len;
    index->keys = g_array_new (FALSE, FALSE, sizeof (guint));
    for (guint i = 0; i < keys->len; i++) {
      guint number = (guint) find_time (index, g_array_index (keys, gint64, i));

      g_array_append_val (index->keys, number);
    }
  } else {
    g_clear_pointer (&index->times, g_array_unref);
    if (!count_frames (path, index, error))
      return NULL;
  }
  if (index->n_frames > 0)
    return g_steal_pointer (&index);
  fail (&reader, 0, error, "has no frames");
  return NULL;
}

UmedptClipIndex *
umedpt_clip_index_new (const char *path, GError **error)
{
  UmedptClipIndex *index;

  umedpt_clip_begin_silence ();
  index = index_quietly (path, error);
  umedpt_clip_end_silence ();
  return index;
}
