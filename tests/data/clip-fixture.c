/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clips for tests, by libavcodec's encoders and libavformat's muxers.
 */
#include "clip-fixture.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

guint
clip_fixture_luma (guint number)
{
  return 20 + 5 * (number % 40);
}

gboolean
clip_fixture_has (const char *codec)
{
  return avcodec_find_encoder_by_name (codec) != NULL;
}

gint
clip_fixture_get_log_level (void)
{
  return av_log_get_level ();
}

static void
write_packets (AVFormatContext *format, AVCodecContext *codec,
    const AVFrame *frame)
{
  AVPacket *packet = av_packet_alloc ();

  g_assert_cmpint (avcodec_send_frame (codec, frame), ==, 0);
  while (avcodec_receive_packet (codec, packet) == 0) {
    av_packet_rescale_ts (packet, codec->time_base,
        format->streams[0]->time_base);
    packet->duration =
        av_rescale_q (1, codec->time_base, format->streams[0]->time_base);
    g_assert_cmpint (av_interleaved_write_frame (format, packet), ==, 0);
  }
  av_packet_free (&packet);
}

static AVFormatContext *
begin (const char *path, AVCodecContext *codec, const AVCodec *encoder)
{
  AVFormatContext *format = NULL;
  AVStream *stream;

  g_assert_cmpint (avformat_alloc_output_context2 (&format, NULL, NULL, path),
      >=, 0);
  if (format->oformat->flags & AVFMT_GLOBALHEADER)
    codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  codec->flags |= AV_CODEC_FLAG_BITEXACT;
  g_assert_cmpint (avcodec_open2 (codec, encoder, NULL), ==, 0);
  stream = avformat_new_stream (format, NULL);
  stream->time_base = codec->time_base;
  avcodec_parameters_from_context (stream->codecpar, codec);
  g_assert_cmpint (avio_open (&format->pb, path, AVIO_FLAG_WRITE), >=, 0);
  g_assert_cmpint (avformat_write_header (format, NULL), >=, 0);
  return format;
}

static void
end (AVFormatContext *format, AVCodecContext *codec)
{
  write_packets (format, codec, NULL);
  g_assert_cmpint (av_write_trailer (format), ==, 0);
  avio_closep (&format->pb);
  avformat_free_context (format);
  avcodec_free_context (&codec);
}

static AVFrame *
new_picture (const ClipFixture *clip)
{
  AVFrame *frame = av_frame_alloc ();

  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = clip->width;
  frame->height = clip->height;
  g_assert_cmpint (av_frame_get_buffer (frame, 0), ==, 0);
  return frame;
}

void
clip_fixture_write (const char *path, const ClipFixture *clip)
{
  const AVCodec *encoder =
      avcodec_find_encoder_by_name (clip->codec ? clip->codec : "mpeg4");
  AVCodecContext *codec = avcodec_alloc_context3 (encoder);
  AVFrame *frame = new_picture (clip);
  AVFormatContext *format;
  gint level = av_log_get_level ();

  av_log_set_level (AV_LOG_ERROR); /* x264 tells what it can */
  codec->width = clip->width;
  codec->height = clip->height;
  codec->pix_fmt = AV_PIX_FMT_YUV420P;
  codec->time_base = (AVRational){ 1, 10 };
  codec->gop_size = clip->gop;
  codec->max_b_frames = clip->b_frames;
  if (clip->codec == NULL) {
    codec->flags |= AV_CODEC_FLAG_QSCALE;
    codec->global_quality = 2 * FF_QP2LAMBDA;
  }
  codec->thread_count = 1;
  /* no key frame but every gop-th */
  av_opt_set_int (codec, "sc_threshold", 1000000000, AV_OPT_SEARCH_CHILDREN);
  if (clip->codec != NULL)
    av_opt_set (codec, "x264-params", "qp=4:open-gop=1:b-adapt=0:scenecut=0",
        AV_OPT_SEARCH_CHILDREN);
  format = begin (path, codec, encoder);
  for (guint i = 0; i < clip->n_frames; i++) {
    g_assert_cmpint (av_frame_make_writable (frame), ==, 0);
    for (gint y = 0; y < clip->height; y++) {
      memset (frame->data[0] + y * frame->linesize[0],
          (int) clip_fixture_luma (i), (size_t) clip->width);
      memset (frame->data[1] + y / 2 * frame->linesize[1], 128,
          (size_t) (clip->width + 1) / 2);
      memset (frame->data[2] + y / 2 * frame->linesize[2], 128,
          (size_t) (clip->width + 1) / 2);
    }
    frame->pts = i;
    frame->quality = codec->global_quality;
    write_packets (format, codec, frame);
  }
  end (format, codec);
  av_frame_free (&frame);
  av_log_set_level (level);
}

void
clip_fixture_write_sound (const char *path)
{
  const AVCodec *encoder = avcodec_find_encoder (AV_CODEC_ID_PCM_S16LE);
  AVCodecContext *codec = avcodec_alloc_context3 (encoder);
  AVFrame *frame = av_frame_alloc ();
  AVFormatContext *format;

  codec->sample_rate = 8000;
  codec->sample_fmt = AV_SAMPLE_FMT_S16;
  codec->time_base = (AVRational){ 1, 8000 };
  av_channel_layout_default (&codec->ch_layout, 1);
  format = begin (path, codec, encoder);
  frame->format = AV_SAMPLE_FMT_S16;
  frame->sample_rate = 8000;
  frame->nb_samples = 800;
  av_channel_layout_default (&frame->ch_layout, 1);
  g_assert_cmpint (av_frame_get_buffer (frame, 0), ==, 0);
  memset (frame->data[0], 0, 1600);
  frame->pts = 0;
  write_packets (format, codec, frame);
  end (format, codec);
  av_frame_free (&frame);
}
