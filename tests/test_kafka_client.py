"""Reaching a Kafka cluster: addresses, certificates, passwords."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.kafka_log import KafkaLog, KafkaSecurity, servers
from streams.ports import Rejected, Unavailable
from tests.conftest import require
from tests.services.kafka import Kafka


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("kafka://h1:9092,h2:9093", ["h1:9092", "h2:9093"]),
        ("kafka://h1,h2/", ["h1:9092", "h2:9092"]),
        ("kafka://[::1]:19092", ["[::1]:19092"]),
        ("kafka://10.0.0.1", ["10.0.0.1:9092"]),
    ],
)
def test_an_url_names_the_brokers(url: str, hosts: list[str]) -> None:
    assert servers(url) == hosts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kafka://",
        "h1:9092",
        "http://h1",
        "kafka://h1:x",
        "kafka://h1:99999",
        "kafka://h1/t",
        "kafka://h1,,h2",
    ],
)
def test_a_bad_url_is_refused_with_what_was_expected(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected .*host:port"):
        servers(url)


def test_a_password_in_an_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        servers("kafka://anna:geheim@h1:9092")
    assert "geheim" not in str(caught.value)


def test_security_says_what_is_wrong_and_hides_its_passwords(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="protocol"):
        KafkaSecurity(protocol="TLS")
    with pytest.raises(ValueError, match="user name"):
        KafkaSecurity(protocol="SASL_SSL")
    broken = tmp_path / "ca.pem"
    broken.write_text("not a certificate")
    for ca in (broken, tmp_path / "absent.pem"):
        with pytest.raises(ValueError, match=rf"expected PEM .*{ca.name}"):
            KafkaLog("kafka://h1", security=KafkaSecurity(protocol="SSL", ca=ca))
    security = KafkaSecurity(protocol="SASL_SSL", username="anna", password="geheim", key_password="secret")
    assert "geheim" not in repr(security)
    assert "secret" not in repr(security)


def test_a_cluster_with_tls_and_a_password(tmp_path: Path) -> None:
    require(Kafka)
    topic = "secured"

    async def check(log: KafkaLog) -> None:
        async with log:
            await log.ensure_topic(topic, 1)
            assert await log.append(topic, b"secret", partition=0) == 0
            assert [value async for _, _, value in log.read(topic, 0)] == [b"secret"]

    certificate, private = self_signed(tmp_path)
    with SecureKafka(certificate, private) as broker:
        security = KafkaSecurity(
            protocol="SASL_SSL", mechanism="PLAIN", username="forestall", password="right", ca=certificate
        )
        asyncio.run(check(KafkaLog(broker.url, security=security)))
        for wrong in (replace(security, password="wrong"), replace(security, ca=None), KafkaSecurity()):
            with pytest.raises((Unavailable, Rejected)):
                asyncio.run(check(KafkaLog(broker.url, security=wrong, patience_s=2.0)))


class SecureKafka(Kafka):
    """A broker that asks for TLS and a password."""

    def __init__(self, certificate: Path, private: Path) -> None:
        super().__init__()
        users = "username=broker password=inner user_broker=inner user_forestall=right"
        jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        self.settings = (
            f"listeners=SASL_SSL://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}",
            f"advertised.listeners=SASL_SSL://127.0.0.1:{self.port}",
            "listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name=SASL_SSL",
            "sasl.enabled.mechanisms=PLAIN",
            "sasl.mechanism.inter.broker.protocol=PLAIN",
            f"listener.name.sasl_ssl.plain.sasl.jaas.config={jaas} {users};",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.certificate.chain={one_line(certificate)}",
            f"ssl.keystore.key={one_line(private)}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.certificates={one_line(certificate)}",
        )


def one_line(pem: Path) -> str:
    return pem.read_text().replace("\n", "\\n")


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = directory / "broker.pem", directory / "broker.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private
