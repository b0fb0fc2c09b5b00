using Gradus.Training;

namespace Gradus.Api.Datasets;

/// <summary>A form's short text field: refuses to be read beyond 4,096 bytes.</summary>
/// <param name="name">The field's, for the message.</param>
internal sealed class LimitedText(Stream inner, string name) : Stream
{
    private int left = 4096;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => Counted(await inner.ReadAsync(buffer, cancellationToken));

    public override int Read(byte[] buffer, int offset, int count) => Counted(inner.Read(buffer, offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private int Counted(int count) => (left -= count) >= 0 ? count : throw new InvalidInputException($"'{name}' is longer than 4,096 bytes.", name, "out_of_range");
}
