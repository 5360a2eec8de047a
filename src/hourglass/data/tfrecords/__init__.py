"""TFRecords of person crops: schema, writer, reader, batches, augmentation."""
