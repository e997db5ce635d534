"""JPEG XL through its extra: turned by its codestream, limited before pixels, confined."""

from __future__ import annotations

import base64
import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import hashmatch as hm
from hashmatch.decode import formats, jxl, limits
from hashmatch.decode.cicp import Cicp, to_sdr
from hashmatch.testing import picture
from hdr_pictures import PQ, codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

imagecodecs = pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")

PIXELS = picture(1, 96, 64)
TURNED = base64.b85decode(
    "{|XN+kWgF_3IPBB5CZ@>09XK6N+=>Hn>vvP3i&`aUzp7S3OPYFXPAXqWLBv(Ap$<0RTTvQgdhq4D0w2?i~w-"
    "Kv|QJPUDGs89wqHo4Gw7$VzSEU@AtP;I(~-rrHe(C4k=`e@va>s!-V=u>?V?J06-"
    "J~9DvMO;sPJ)qF++~oSV(D=#c<x5Kp8r`cUwcC^*k($$5kH&h992DBeWth@hsWv@@JL%&UP>!lYmfnDtPo=FiWBO"
    "1(8&1=XHFK!OvM7WB9s9yb{@;#1(m1fl@|pa|(7002~|j52QUa<1pg4;>cMHm)<Y)wYEtiBJlpK%(7ajJ8NhcWu0"
    "jF~)<97(90c(`dhaNyA9yIfW2kpW>fzEfP!*7N3Rk6%7AAGZt#~J=Zq6@1+<Ha}2acPQO9#%&uiw&vbS;grehuIi"
    ")BI!pWZ8GI+}cfP_LL<9Y+YDj@|c$F@Y?WlrYDoEU#}gxw|pRux5o?sTvO>Exwn%PA8ha>ST}@AX}b4)Ph0!66*G"
    "Of!7my0{BC_9(!(Rx$zp2rL3*8*>}?UVON`>Pg?wNQy(EnhAul=U~18Az=nAh9A}j?f-"
    "P=Uue&?N?0aX)rEi@OXM5<jNr6*)xxI+vA~Z6sl$VT62zIL!vZt|0}ZXyVZB>OMJo5s_8WQdt@4`UZLldnX4>@u`"
    "J<oT(M&$nDN8_5wX70?1^FHWiE&5G)il*T`EBytJK|<9gs*}SS}d)XPtRqGP=U)7Pu@s%aSV$#qr)NKsf9G=uj!v"
    "$aifgwPw8r$SulPpj|Zf(yh$Vk{7nV^PaTvjZHSJOJ`k?h6<%vhCHqY10idhl2gajce0NgZc#a52_&x;37F9;3po"
    "kCnTJ4we-}eXKSVHqxkHk~It2YZ!0F`HTOZ}xuC`ar;#WNh^FemNalq|dPt#0YxDpM-"
    "lh4wx1v5R^quj6;P!Ze)O{R?$0(Fyl8%5qJ}yps{8O@@5c!|?r1U>F#<f_Z;Q(gO"
)
"""PIXELS in an orientation of 6, by libjxl 0.7."""
IN_PQ = base64.b85decode(
    "{|XO5LLNN=0eu6jL<#_a3YAgD4PMUmeEFfnV%o-ahPK+au!OPMUKk`yfe|Ha!xs-LUDq+%F}5+*F}g9<F}5+bF^V"
    "zrV!RmR#Ter?3=IJQk_H@Wo+Q+wAv*vR`>Dk}5qo}mqrLHQkDGdy%}z1YAS#l52mfE#G7$~@%b!O3H?fXuTAo60q"
    "$Nu=(FWp)@7Z9B(5THJ`$Edie7PFX05y$8bYlqrf)G|;_W$6C|59SOV-Acc?svFx3K92CFcXB?$7TmsxVvs<y{07"
    "n)dF)OI2|Fou%;2bBeox}i>k19TASh^wcp+(sFFRNU-"
    "`QFK3~R+#29@S_8@Z;i`j0+2`obZqHWX94FOPt07Xwuty6H*mw@;b4+BobY{!KvEK$nwQ#)DBfB!ED*-"
    "n*h@ENIKd&lWA^olG`u{VZ2Y5x_$A&q0W20RW;#%^sGy!-"
    ">ed;tI;OJCi|n^72E!%3IPUFgX@WS4yX$v>iqySUy@>t>r32(F{OCQgiar4mxG@@z}w-DT$7-"
    "2KmgjN^w8o(V9n#6Qq8UQAY?u88PB9zk_@?q7kRw-Tg~-"
    "{rF}7zk{nle>`XFbgtfnM+?PAjofb1I;%!v_SUL;xe$c{Xk#^^2l9+J8tfjPL?^fV#7OT9IyZZF#9`89HX03ukQF"
    "0O9K}_6=Gvbyg}>ir|Djjr1rTsMj{95cMe%SX{t$a6$%Opz(HyE3$xy6K+phy$XUv;sM7vzG~6;JKX?{-"
    "99WdaSgKzPy_Bbe3MYYXw*pS*?_zu%$z=Q#MY}bkUf1}_x7tRFL*#;<>V|JuVM$dQm4lm0T5EJEhTYyCi|uzuRJY"
    "wh__?|moM+$lr8Zo;OB2@cf%JM$Aw7f>1lM}RnNzf_V8GZ>ri)$^JqDeZiu474@(vh?s`;e!qUu4O7*CBw84<Q(("
    "(jm~gP~H!{Xk?1mJlqEE8)UWLIHq*?Qe6R)W+GYC%)Ry)ZH8H_U^~5+g<eX?Fs;72YaO@=iKx|=|zuV7Oo_eLd8b"
    "%%K|oY)-Eze3fHT`5uGFQ$ZT^Ms@YfhQ8kI|kl-oN9^_Vj3<pOP#rIu@4`O%z1dmZD)@W=mu_lh7e{tdj9G;Zsb0"
    "Iba@$6&@<Fm-"
    "i2({o)UbV2bjD>(LP;@Np`I!Ht7UA430`(AQG`Ju3q6ww}m*MKD66%E$xYVcPt}?ZsDp;!X8M`rf)2Yi!MMlYIU?"
    "^9cpk5eRJeMaG<iDiQ+n(1DlE0vtLeWA|U>b-+T9@4B$Xwx1t?wr|1`z=r)U%ox+AwN-"
    "g6&htFjRBe?#Ggz1r{3MG_+u!6xe0ip!?mj4Wh{TZIEn?=%=V<GG|*O_aJF;|9?%B8q@0P9ufzdPmgdp2!Xy(mCf"
    ";e5h2GncCe0e;a2buna)^ScjGfcfYb`)$Yu#6MFInmk59{A;T*UQ$@m1pl8!$@vEi4-"
    "i*S#|eh=l_qU_$B;Ut`!>ZDw8DQF)Z<{LOV4Dl6(fID{jgTk*qza!5-"
    "_}OgW>~F@0V<KhDUZLG;{zxEYzY!`N<GI6Ee@<wlDb$-"
    "C<B*hCLys(4pI(XTEC)*hk?`{@a_cV2L+s5!udk0qk>ryzt7(q!jYJ!m+Uwh!&B35GFpnAXmbDs~pB("
)
"""PIXELS by their light, in PQ and BT.2020, by libjxl 0.7."""


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(workers=1) as started:
        yield started


def encoded(pixels: NDArray[Any], **options: Any) -> bytes:
    data: bytes = imagecodecs.jpegxl_encode(pixels, lossless=True, **options)
    return data


def in_boxes(data: bytes, *others: tuple[bytes, bytes]) -> bytes:
    """Return a codestream in a container, in two parts, behind other boxes."""
    parts = [
        *others,
        (b"jxlp", struct.pack(">I", 0) + data[:7]),
        (b"jxlp", struct.pack(">I", 0x80000001) + data[7:]),
    ]
    boxes = b"".join(struct.pack(">I", 8 + len(body)) + kind + body for kind, body in parts)
    return jxl.CONTAINER + b"\0\0\0\x14ftypjxl \0\0\0\0jxl " + boxes


def test_pixels_come_back_as_they_were(pool: hm.DecodePool, tmp_path: Any) -> None:
    data = encoded(PIXELS)
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    for way in (data, path, io.BytesIO(data), in_boxes(data)):
        decoded = hm.decode_image(way)
        assert (decoded.pixels == PIXELS).all()
        assert decoded.media_type == "image/jxl"
        there = pool.decode_image(way)
        assert (there.pixels == PIXELS).all()
        assert there.media_type == "image/jxl"
    assert hm.hash_image(data).hex == hm.hash_image(PIXELS).hex


def test_gray_and_transparency() -> None:
    gray = PIXELS[..., 0].copy()
    assert (hm.decode_image(encoded(gray)).pixels == gray[..., None]).all()
    clear = np.dstack([PIXELS, np.zeros_like(gray)])
    assert (hm.decode_image(encoded(clear, photometric="rgb")).pixels == 255).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_more_bits_are_brought_down_by_value(bits: int) -> None:
    deep = PIXELS.astype(np.uint16) << (bits - 8)
    off_by = hm.decode_image(encoded(deep, bitspersample=bits)).pixels.astype(int) - PIXELS
    assert np.abs(off_by).max() <= 1


def test_floats_are_from_nothing_to_white() -> None:
    off_by = hm.decode_image(encoded(PIXELS.astype(np.float32) / 255)).pixels.astype(int) - PIXELS
    assert np.abs(off_by).max() <= 1


def test_the_codestream_turns_and_exif_does_not(pool: hm.DecodePool) -> None:
    upright = np.rot90(PIXELS, -1)
    exif = Image.Exif()
    exif[0x0112] = 6
    beside = (b"Exif", bytes(4) + exif.tobytes().removeprefix(b"Exif\0\0"))
    for data in (TURNED, in_boxes(TURNED, beside)):
        for decoded in (hm.decode_image(data), pool.decode_image(data)):
            assert decoded.pixels.shape == (96, 64, 3)
            assert np.abs(decoded.pixels.astype(int) - upright).mean() < 16
    assert (hm.decode_image(in_boxes(encoded(PIXELS), beside)).pixels == PIXELS).all()


def test_hdr_is_shown_as_elsewhere() -> None:
    shown = hm.decode_image(IN_PQ).pixels.astype(int)
    image = codes(PIXELS, PQ)
    assert np.abs(shown - np.asarray(image)).mean() > 24
    assert np.abs(shown - np.asarray(to_sdr(image, Cicp(9, PQ)))).mean() < 12


def test_linear_light_is_a_reading() -> None:
    data = encoded(PIXELS.astype(np.float32) / 255)
    variants = [one.variants[0] for one in hm.hash_all(data, ["pdq"], variants="standard")]
    assert variants == ["upright", "as_displayed"]
    assert len(hm.hash_all(encoded(PIXELS), ["pdq"], variants="standard")) == 1


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 1]), (5, [0, 1, 2, 3, 4])])
def test_frames_of_an_animation(count: int, expected: list[int], pool: hm.DecodePool) -> None:
    frames = np.stack([picture(seed, 96, 64) for seed in range(count)])
    data = encoded(frames)
    for seen in (list(hm.decode_frames(data)), list(pool.decode_frames(data))):
        assert [one.frame for one in seen] == expected
        for one, frame in zip(seen, frames, strict=True):
            assert (one.pixels == frame).all()


def test_of_many_frames_both_ends_and_between() -> None:
    frames = np.stack([picture(seed, 64, 64) for seed in range(19)])
    seen = list(hm.decode_frames(encoded(frames)))
    assert [one.frame for one in seen] == [0, 2, 5, 7, 10, 12, 15, 18]
    assert all((one.pixels == frames[one.frame]).all() for one in seen)


def test_frames_out_of_reach_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(np.stack([picture(seed, 64, 64) for seed in range(19)]))
    monkeypatch.setattr(limits, "JXL_REACH_PIXELS", 5 * limits.FRAME_LEAST_PIXELS)
    assert [one.frame for one in hm.decode_frames(data)] == [0, 1, 2, 3, 4]


def test_too_many_pixels_are_refused_from_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(PIXELS)
    monkeypatch.setattr(imagecodecs, "jpegxl_decode", None)
    monkeypatch.setitem(limits.PIXELS, "JXL", 96 * 64 - 1)
    for way in (data, in_boxes(data)):
        assert hm.hash_image(way).outcome is hm.Outcome.REFUSED


def test_what_is_broken_ends_in_an_outcome(pool: hm.DecodePool) -> None:
    data = encoded(PIXELS)
    for tenth in range(1, 10):
        for whole in (data, in_boxes(data)):
            part = whole[: len(whole) * tenth // 10]
            assert hm.hash_image(part).outcome is hm.Outcome.UNDECODABLE
    rng = np.random.default_rng(3)
    for _ in range(40):
        broken = bytearray(TURNED)
        for position in rng.integers(2, len(broken), 3):
            broken[position] ^= 1 << int(rng.integers(0, 8))
        here, there = hm.hash_image(bytes(broken)), hm.hash_image(bytes(broken), decode=pool)
        assert here.outcome is there.outcome


def test_it_is_not_registered_with_pillow() -> None:
    hm.decode_image(encoded(PIXELS))
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(encoded(PIXELS)))


@pytest.mark.parametrize("data", [TURNED, in_boxes(TURNED)])
def test_the_extra_is_named_where_it_is_missing(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(formats.FORMATS, "JXL")
    hashed = hm.hash_image(data)
    assert hashed.outcome is hm.Outcome.UNSUPPORTED
    assert "[jxl]" in hashed.reason
