"""Chart question answering with MatCha, a Pix2Struct that reads the question drawn above the chart."""
