"""What every saliency method stands on: the protocol, passes of the network, layers, and maps."""
