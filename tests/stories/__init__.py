"""What people of a utility live through, each as one test through the processes as they are started."""
