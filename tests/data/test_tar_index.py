import pytest

from helpers.archives import index_tar, md5
from hourglass.data.archives import open_images
from hourglass.data.tar_index import index_archive
from hourglass.utils.errors import UserError


def test_index_is_kept_where_it_matches_and_made_anew_where_not(tmp_path):
    path = index_tar(tmp_path / "a.tar.gz", [("images/a.jpg", b"a")])
    index = tmp_path / "a.tar.gz.members.json"
    inode = index.stat().st_ino
    index_archive(path, md5(path.read_bytes()))
    assert index.stat().st_ino == inode
    index_tar(path, [("images/b.jpg", b"b")])
    with open_images(path) as images:
        assert images.names() == {"b.jpg"}
    (tmp_path / "a.tar.gz.gzidx").unlink()
    with pytest.raises(UserError, match=r"cannot be used .*run `dvc repro download`"):
        open_images(path)
