using System.Text.Json;
using Gradus.Training.Checkpoints;
using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using Gradus.Training.Stages;
using Gradus.Training.Tests.Model;
using Xunit;

namespace Gradus.Training.Tests.Checkpoints;

public sealed class CheckpointStoreTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly CausalLm model = CausalLm.Create(Tiny.Config, 5);
    private readonly AdamW optimizer;
    private readonly List<string> reports = [];

    public CheckpointStoreTests() => optimizer = new AdamW(model.Parameters, new AdamWOptions());

    [Fact]
    public void AResumedRunEqualsAnUnbrokenOne()
    {
        for (var step = 1; step <= 3; step++) CausalLmTests.Step(model, optimizer, step);
        var record = Save(3);
        for (var step = 4; step <= 5; step++) CausalLmTests.Step(model, optimizer, step);

        var checkpoint = Store(record).Load(reports.Add)!;
        Assert.Equal((3, 3), (checkpoint.Step, checkpoint.State.GetProperty("rows").GetInt32()));
        using var resumed = checkpoint.LoadModel("cpu", _ => throw new InvalidOperationException());
        using var resumedOptimizer = new AdamW(resumed.Parameters, new AdamWOptions());
        checkpoint.LoadOptimizer(resumedOptimizer);
        for (var step = 4; step <= 5; step++) CausalLmTests.Step(resumed, resumedOptimizer, step);
        Assert.Equal(CausalLmTests.Bytes(model), CausalLmTests.Bytes(resumed));
        Assert.Empty(reports);
    }

    [Theory]
    [InlineData("model.safetensors", "cut")]
    [InlineData("optimizer.safetensors", "flip")]
    [InlineData("state.json", "flip")]
    [InlineData("config.json", "remove")]
    [InlineData("manifest.json", "flip")]
    [InlineData("manifest.json", "cut")]
    [InlineData("manifest.json", "remove")]
    [InlineData("", "remove")]
    public void ATornNewestOneFallsBackToTheOneBefore(string name, string damage)
    {
        var records = new[] { Save(2), Save(4) };
        var file = Path.Combine(new Uri(records[1].Uri).LocalPath, name);
        if (name.Length == 0) Directory.Delete(file, recursive: true);
        else if (damage == "remove") File.Delete(file);
        else
        {
            var bytes = File.ReadAllBytes(file);
            bytes[bytes.Length / 2] ^= 1;
            File.WriteAllBytes(file, damage == "flip" ? bytes : bytes[..^5]);
        }
        var checkpoint = Store(records[1], records[0]).Load(reports.Add)!;
        Assert.Equal(2, checkpoint.Step);
        Assert.StartsWith("The checkpoint of step 4 is torn:", Assert.Single(reports));
    }

    [Fact]
    public void AManifestThatWasEditedIsTorn()
    {
        var record = Save(2);
        var file = Path.Combine(new Uri(record.Uri).LocalPath, "manifest.json");
        File.WriteAllText(file, File.ReadAllText(file).Replace("\"OptimizerSteps\":0", "\"OptimizerSteps\":7", StringComparison.Ordinal));
        Assert.Null(Store(record).Load(reports.Add));
        Assert.Contains("its manifest is not what was written", Assert.Single(reports));
    }

    [Fact]
    public void WithoutAWholeOneThereIsNone()
    {
        Assert.Null(Store().Load(reports.Add));
        Assert.Null(Store(new CheckpointRecord(1, "file:///nowhere"), new CheckpointRecord(1, "https://example.org/x")).Load(reports.Add));
        Assert.Equal(2, reports.Count);
    }

    [Fact]
    public void AFullDiskNeverLosesTheOneBefore()
    {
        var before = Save(1);
        var needed = Directory.GetFiles(new Uri(before.Uri).LocalPath).Sum(file => new FileInfo(file).Length);
        for (var quota = 0L; quota < needed; quota += needed / 9)
        {
            var room = quota;
            var store = new CheckpointStore(Request(before), 2, path => new FullDisk(File.Create(path), bytes => (room -= bytes) >= 0));
            store.Load(reports.Add);
            Assert.Throws<IOException>(() => store.Save(2, model, optimizer, State(2)));
            Assert.Equal([new Uri(before.Uri).LocalPath], Directory.GetDirectories(folder["checkpoints"]));
            store.RemoveOld();
            Assert.Equal([new Uri(before.Uri).LocalPath], Directory.GetDirectories(folder["checkpoints"]));
        }
        Assert.Equal(1, Store(before).Load(reports.Add)!.Step);
    }

    [Fact]
    public void TheLastTwoAreKeptAndWhatIsHalfWrittenGoes()
    {
        var store = Store();
        Directory.CreateDirectory(folder["checkpoints/00000009-3.aside"]);
        Directory.CreateDirectory(folder["checkpoints/00000009-2"]);
        Directory.CreateDirectory(folder["checkpoints/00000009-4"]);
        foreach (var step in new[] { 1, 2, 3 }) store.Save(step, model, optimizer, State(step));
        store.RemoveOld();
        // 4 is the stamp of somebody who owns the job after us.
        Assert.Equal(["00000002-3", "00000003-3", "00000009-4"], Directory.GetDirectories(folder["checkpoints"]).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void AResumedAttemptKeepsWhatItCameFrom()
    {
        var records = new[] { Save(2), Save(4) };
        var store = new CheckpointStore(Request(records[1], records[0]) with { Stamp = 8 });
        store.Load(reports.Add);
        store.Save(6, model, optimizer, State(6));
        store.RemoveOld();
        Assert.Equal(["00000004-3", "00000006-8"], Directory.GetDirectories(folder["checkpoints"]).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void AnotherEnvironmentIsSaid()
    {
        const string name = "OPENBLAS_NUM_THREADS";
        var before = Environment.GetEnvironmentVariable(name);
        var record = Save(1);
        try
        {
            Environment.SetEnvironmentVariable(name, "Other");
            Assert.NotNull(Store(record).Load(reports.Add));
        }
        finally
        {
            Environment.SetEnvironmentVariable(name, before);
        }
        Assert.Contains("blas_threads", Assert.Single(reports));
    }

    public void Dispose()
    {
        optimizer.Dispose();
        model.Dispose();
        folder.Dispose();
    }

    private CheckpointRecord Save(int step) => Store().Save(step, model, optimizer, State(step));

    private CheckpointStore Store(params CheckpointRecord[] records) => new(Request(records));

    private StageRequest Request(params CheckpointRecord[] records) => new("job_1", "sft", State(0), 1, folder.Path, 3, records, "cpu");

    private static JsonElement State(int step) => JsonSerializer.SerializeToElement(new { rows = step });

    /// <summary>A file that may take only so many bytes more.</summary>
    private sealed class FullDisk(Stream inner, Func<int, bool> hasRoom) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => true;

        public override bool CanWrite => true;

        public override long Length => inner.Length;

        public override long Position { get => inner.Position; set => inner.Position = value; }

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => inner.Seek(offset, origin);

        public override void SetLength(long value) => inner.SetLength(value);

        public override void Write(byte[] buffer, int offset, int count)
        {
            if (!hasRoom(count)) throw new IOException("No space left on device");
            inner.Write(buffer, offset, count);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
