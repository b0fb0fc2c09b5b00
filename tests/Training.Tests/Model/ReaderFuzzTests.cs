using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Gradus.Training.Model;
using Gradus.Training.Text;
using TorchSharp;
using Xunit;

namespace Gradus.Training.Tests.Model;

/// <summary>
/// Whole files, changed byte by byte and part by part: a reader gives a value or an <see cref="InvalidInputException"/>, nothing else, and takes little memory. A failure
/// names the seed to replay it with.
/// </summary>
public sealed class ReaderFuzzTests : IDisposable
{
    private const int Runs = 1_500;
    private const long MostMemory = 64 << 20;

    private static readonly string[] oddities =
    [
        "0", "-1", "1.5", "1e308", "1e999", "-0.0", "9223372036854775807", "99999999999999999999", "null", "true", "\"\"", "\"x\"", "\"\\ud800\"", "[]", "{}", "[null]", "[[[[[[[[[[1]]]]]]]]]]",
        "{\"rope_type\":\"llama3\"}", "{\"rope_type\":\"yarn\",\"factor\":1e300}", "[1,2,3]", "[-1]", "\"float8_e4m3fn\"", "65536", "4294967296", "2147483648",
    ];

    private readonly TemporaryFolder folder = new();
    private readonly byte[] weights;
    private readonly string config;

    public ReaderFuzzTests()
    {
        using var model = CausalLm.Create(Tiny.Config, 3);
        model.Save(folder.Path);
        weights = File.ReadAllBytes(folder["model.safetensors"]);
        config = File.ReadAllText(folder["config.json"]);
    }

    /// <summary>A place and what to do there.</summary>
    private static Gen<(uint At, byte Kind, uint Value)[]> Changes { get; } =
        Gen.NonEmptyListOf(from at in ArbMap.Default.GeneratorFor<uint>() from kind in ArbMap.Default.GeneratorFor<byte>() from value in ArbMap.Default.GeneratorFor<uint>() select (at, kind, value))
            .Select(list => list.Take(8).ToArray());

    [Fact]
    public void Changed_bytes_of_weights_are_read_or_refused() => Check(changes =>
    {
        var header = (int)BinaryPrimitives.ReadInt64LittleEndian(weights);
        // Mostly the header: a changed weight is another weight.
        File.WriteAllBytes(folder["model.safetensors"], Changed(weights, changes, 8 + header));
        ReadWeights();
    });

    [Fact]
    public void A_changed_header_of_weights_is_read_or_refused() => Check(changes =>
    {
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(weights);
        var header = Encoding.UTF8.GetBytes(Restructured(Encoding.UTF8.GetString(weights, 8, length), changes));
        var start = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(start, header.Length);
        File.WriteAllBytes(folder["model.safetensors"], [.. start, .. header, .. weights.AsSpan(8 + length)]);
        ReadWeights();
    });

    [Fact]
    public void A_changed_index_of_shards_is_read_or_refused()
    {
        File.Move(folder["model.safetensors"], folder["one.safetensors"]);
        var names = Safetensors.Open(folder["one.safetensors"]);
        var index = new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = 1 }, ["weight_map"] = new JsonObject(names.Names.Select(name => KeyValuePair.Create<string, JsonNode?>(name, "one.safetensors"))) };
        names.Dispose();
        Check(changes =>
        {
            var bytes = changes[0].Kind % 2 == 0 ? Changed(Encoding.UTF8.GetBytes(index.ToJsonString()), changes, int.MaxValue) : Encoding.UTF8.GetBytes(Restructured(index.ToJsonString(), changes));
            File.WriteAllBytes(folder["model.safetensors.index.json"], bytes);
            ReadWeights();
        });
    }

    [Fact]
    public void Changed_bytes_of_a_config_are_read_or_refused() => Check(changes =>
    {
        File.WriteAllBytes(folder["config.json"], Changed(Encoding.UTF8.GetBytes(config), changes, int.MaxValue));
        ModelConfig.Read(folder.Path);
    });

    [Fact]
    public void Changed_values_of_a_config_are_read_or_refused_and_load_only_what_fits() => Check(changes =>
    {
        File.WriteAllText(folder["config.json"], Restructured(config, changes));
        CausalLm.Load(folder.Path).Dispose();
    });

    [Fact]
    public void Changed_values_of_a_generation_config_are_read_or_refused() => Check(changes =>
    {
        File.WriteAllText(folder["generation_config.json"], Restructured("""{"do_sample":true,"eos_token_id":[1,2],"pad_token_id":0,"temperature":0.6}""", changes));
        ModelConfig.Read(folder.Path);
    });

    [Fact]
    public void Changed_values_of_a_tokenizer_config_are_read_or_refused() => Check(changes =>
    {
        const string Whole = """{"bos_token":{"content":"<s>"},"eos_token":"</s>","chat_template":[{"name":"default","template":"a"},{"name":"tool_use","template":"b"}],"model_max_length":1e30}""";
        File.WriteAllText(folder["tokenizer_config.json"], Restructured(Whole, changes));
        ChatTemplateFiles.Read(folder.Path);
        ChatTemplateFiles.EndToken(folder.Path);
    });

    public void Dispose() => folder.Dispose();

    private void ReadWeights()
    {
        using var scope = torch.NewDisposeScope();
        using var file = Safetensors.Open(folder.Path);
        foreach (var name in file.Names) file.Read(name);
    }

    private static void Check(Action<(uint At, byte Kind, uint Value)[]> read) => Prop.ForAll(Arb.From(Changes), changes =>
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            read(changes);
        }
        catch (InvalidInputException)
        {
        }

        return GC.GetAllocatedBytesForCurrentThread() - before < MostMemory;
    }).Check(FsCheck.Config.QuickThrowOnFailure.WithMaxTest(Runs).WithQuietOnSuccess(true));

    private static byte[] Changed(byte[] whole, IEnumerable<(uint At, byte Kind, uint Value)> changes, int mostly)
    {
        var bytes = whole.ToList();
        foreach (var (at, kind, value) in changes)
        {
            if (bytes.Count == 0) break;
            var place = (int)(at % (uint)Math.Min(bytes.Count, kind % 16 == 0 ? int.MaxValue : mostly));
            switch (kind % 6)
            {
                case 0: bytes[place] ^= (byte)(1 << (int)(value % 8)); break;
                case 1: bytes[place] = (byte)value; break;
                case 2: bytes.RemoveRange(place, (int)Math.Min(value % 64, (uint)(bytes.Count - place))); break;
                case 3: bytes.InsertRange(place, bytes.GetRange(place, (int)Math.Min(value % 64, (uint)(bytes.Count - place)))); break;
                case 4: bytes.Insert(place, "{}[]\",:09-\\"u8[(int)(value % 11)]); break;
                default: bytes.RemoveRange((int)(value % (uint)bytes.Count), bytes.Count - (int)(value % (uint)bytes.Count)); break;
            }
        }

        return [.. bytes];
    }

    /// <summary>JSON with values replaced by odd ones, fields left out, doubled or renamed.</summary>
    private static string Restructured(string json, IEnumerable<(uint At, byte Kind, uint Value)> changes)
    {
        var text = json;
        foreach (var (at, kind, value) in changes)
        {
            var spans = Values(text);
            if (spans.Count == 0) break;
            var (start, length) = spans[(int)(at % (uint)spans.Count)];
            var (other, otherLength) = spans[(int)(value % (uint)spans.Count)];
            var replacement = (kind % 3) switch
            {
                0 => oddities[value % (uint)oddities.Length],
                1 => text.Substring(other, otherLength),
                _ => $"{text.Substring(start, length)},\"{(value % 7 == 0 ? "a" : "dtype")}\":{oddities[at % (uint)oddities.Length]}",
            };
            text = string.Concat(text.AsSpan(0, start), replacement, text.AsSpan(start + length));
        }

        return text;
    }

    /// <summary>Where values stand (not names), the nested ones, too; none in what is no JSON.</summary>
    private static List<(int Start, int Length)> Values(string text)
    {
        var (bytes, spans, open) = (Encoding.UTF8.GetBytes(text), new List<(int, int)>(), new Stack<int>());
        var reader = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = 200 });
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray) open.Push((int)reader.TokenStartIndex);
                else if (reader.TokenType is JsonTokenType.EndObject or JsonTokenType.EndArray)
                {
                    var start = open.Pop();
                    if (open.Count > 0) spans.Add((start, (int)reader.BytesConsumed - start));
                }
                else if (reader.TokenType != JsonTokenType.PropertyName) spans.Add(((int)reader.TokenStartIndex, (int)(reader.BytesConsumed - reader.TokenStartIndex)));
            }
        }
        catch (JsonException)
        {
            return [];
        }

        return spans;
    }
}
