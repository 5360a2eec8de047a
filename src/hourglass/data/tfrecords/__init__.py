"""TFRecords of person crops: records, writer, reader, batches, augmentation."""
