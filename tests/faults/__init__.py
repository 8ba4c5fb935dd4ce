"""What the fault tests share: a load, a publisher, the product's processes, and what is compared at the end."""
