"""Chart question answering with MatCha, a Pix2Struct model that reads the question from a header above the chart."""
