"""Any image-text model of transformers as a family: LoRA, full fine-tuning, answers."""
