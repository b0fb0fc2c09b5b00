using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Model;

/// <summary>
/// Model folders of somebody who means harm, or whose disk was full: a whole folder, one thing broken. Each is refused with the file or field to blame, before
/// memory is taken for what it claims.
/// </summary>
public sealed class HostileModelTests : IDisposable
{
    private const string Weights = "model.safetensors", Index = "model.safetensors.index.json", Config = "config.json", Generation = "generation_config.json";
    private const long MostMemory = 128 << 20;

    private static readonly Dictionary<string, (Action<TemporaryFolder> Break, string Parameter, string Why)> cases = new()
    {
        ["weights of no bytes"] = (Cut(0), Weights, "is empty"),
        ["weights of seven bytes"] = (Cut(7), Weights, "too few for a header"),
        ["weights cut in their header"] = (Cut(100), Weights, "reaches beyond its end"),
        ["weights cut by a byte"] = (Cut(-1), Weights, "cut short"),
        ["weights with a byte more"] = (f => File.AppendAllText(f[Weights], "x"), Weights, "belong to none"),
        ["a header of 0 bytes"] = (Header(0), Weights, "not the JSON of this format"),
        ["a header of 2^60 bytes"] = (Header(1UL << 60), Weights, "at most 100000000 are allowed"),
        ["a header of 2^63 bytes"] = (Header(1UL << 63), Weights, "at most 100000000 are allowed"),
        ["a header of 2^64 - 1 bytes"] = (Header(ulong.MaxValue), Weights, "at most 100000000 are allowed"),
        ["a header of 100 MB in a small file"] = (Header(100_000_000), Weights, "reaches beyond its end"),
        ["a header that is no UTF-8"] = (Raw([(byte)'{', (byte)'"', 0xC3, 0x28, (byte)'"', (byte)':', (byte)'1', (byte)'}']), Weights, "not the JSON of this format"),
        ["a header of half a surrogate pair"] = (Json("""{"\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4), Weights, "not the JSON of this format"),
        ["a header nested a million deep"] = (Json("{\"a\":" + new string('[', 1_000_000) + new string(']', 1_000_000) + "}"), Weights, "not described by an object"),
        ["metadata nested a million deep"] = (Json("{\"__metadata__\":" + new string('[', 1_000_000) + new string(']', 1_000_000) + "}"), Weights, "not the JSON of this format"),
        ["a million tensors"] = (Json(Many(1_000_000)), Weights, "more than 200000 tensors"),
        ["a million numbers in a shape"] = (Json("{\"a\":{\"dtype\":\"F32\",\"shape\":[" + string.Join(',', Enumerable.Repeat("1", 1_000_000)) + "],\"data_offsets\":[0,4]}}", 4), Weights, "more than 16 numbers"),
        ["a name of ten million bytes"] = (Json("{\"" + new string('a', 10_000_000) + "\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4), Weights, "a name of 10000000 bytes"),
        ["a type of ten million bytes"] = (Json("{\"a\":{\"dtype\":\"" + new string('F', 10_000_000) + "\",\"shape\":[],\"data_offsets\":[0,4]}}", 4), Weights, "a name of 10000000 bytes"),
        ["a tensor twice"] = (Json("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8), Weights, "stands in it twice"),
        ["a shape twice"] = (Json("""{"a":{"dtype":"F32","shape":[1],"shape":[99],"data_offsets":[0,4]}}""", 4), Weights, "two fields 'shape'"),
        ["overlapping tensors"] = (Json("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12), Weights, "'b' overlaps"),
        ["a tensor inside of another"] = (Json("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 16), Weights, "overlaps"),
        ["a hole"] = (Json("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12), Weights, "a gap of 4 bytes"),
        ["a shape beyond 2^63"] = (Json("""{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}""", 4), Weights, "product overflows"),
        ["a shape of 2^62 numbers of 4 bytes"] = (Json("""{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}"""), Weights, "product overflows"),
        ["a size beyond 2^63"] = (Json("""{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}""", 4), Weights, "whole numbers from 0"),
        ["negative offsets"] = (Json("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}""", 4), Weights, "whole numbers from 0"),
        ["offsets backwards"] = (Json("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4), Weights, "lies at 4 to 0"),
        ["offsets near 2^63"] = (Json("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775800,9223372036854775804]}}""", 4), Weights, "bytes of weights are there"),
        ["a type of another width"] = (Json("""{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,4]}}""", 4), Weights, "needs 2 bytes"),
        ["FP8 weights"] = (Json("""{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}""", 4), Weights, "FP8 weights (F8_E4M3)"),
        ["a type that nobody knows"] = (Json("""{"a":{"dtype":"F3","shape":[4],"data_offsets":[0,4]}}""", 4), Weights, "unknown type 'F3'"),
        ["whole numbers for weights"] = (Json(One("I32", 50, 32), 4 * 50 * 32), Weights, "supported are F32"),
        ["weights of another shape"] = (Json(One("F32", 32, 50), 4 * 50 * 32), Weights, "must have the shape [50, 32], not [32, 50]"),
        ["weights without a layer"] = (Json(One("F32", 50, 32), 4 * 50 * 32), "model.layers.0.input_layernorm.weight", "has no tensor"),
        ["no weights"] = (f => File.Delete(f[Weights]), Weights, "neither model.safetensors nor"),
        ["weights that are a folder"] = (f => { File.Delete(f[Weights]); Directory.CreateDirectory(f[Weights]); }, Weights, "neither model.safetensors nor"),
        ["weights that link outside"] = (Link("/etc/passwd"), Weights, "outside of its folder"),
        ["weights that link to an endless device"] = (Link("/dev/zero"), Weights, "outside of its folder"),
        ["weights that link nowhere"] = (Link("gone"), Weights, "leads nowhere"),
        ["weights that link in a circle"] = (f => { Link("b")(f); File.CreateSymbolicLink(f["b"], f[Weights]); }, Weights, "leads nowhere"),

        ["an index outside"] = (Shards("""{"a":"../model.safetensors"}"""), Index, "not a file beside it"),
        ["an index to the folder above"] = (Shards("""{"a":".."}"""), Index, "not a file beside it"),
        ["an absolute index"] = (Shards("""{"a":"/etc/passwd"}"""), Index, "not a file beside it"),
        ["an index with a zero"] = (Shards("""{"a":"one\u0000.safetensors"}"""), Index, "not a file beside it"),
        ["an index of numbers"] = (Shards("""{"a":7}"""), Index, "names no file"),
        ["an index that is a list"] = (Shards("[]"), Index, "no weight_map"),
        ["an index with two maps"] = (Shards("""{},"weight_map":{}"""), Index, "two weight_maps"),
        ["a tensor twice in an index"] = (Shards("""{"a":"one.safetensors","a":"one.safetensors"}"""), Index, "names tensor 'a' twice"),
        ["an index to a missing shard"] = (Shards("""{"a":"one.safetensors","b":"three.safetensors"}"""), "three.safetensors", "There is no three.safetensors"),
        ["a tensor in two shards"] = (Shards("""{"a":"one.safetensors","b":"two.safetensors"}"""), "two.safetensors", "stands in another shard, too"),
        ["an index that names what no shard has"] = (Shards("""{"a":"one.safetensors","z":"one.safetensors"}"""), Index, "'z' is in one.safetensors, where it is not"),
        ["a shard that links outside"] = (f => { Shards("""{"a":"one.safetensors"}""")(f); File.Delete(f["one.safetensors"]); File.CreateSymbolicLink(f["one.safetensors"], "/etc/passwd"); }, "one.safetensors", "outside of its folder"),
        ["an index nested a million deep"] = (Shards(new string('[', 1_000_000) + new string(']', 1_000_000)), Index, "no weight_map that is an object"),
        ["an index of a million names"] = (Shards("{" + string.Join(',', Enumerable.Range(0, 1_000_000).Select(i => $"\"{i}\":\"a\"")) + "}"), Index, "more than 200000 tensors"),
        ["an index of 40 MB"] = (f => { Shards("{}")(f); File.AppendAllText(f[Index], new string(' ', 40 << 20)); }, Index, "may have"),

        ["no config"] = (f => File.Delete(f[Config]), Config, "no config.json"),
        ["a config of 5 MB"] = (f => File.AppendAllText(f[Config], new string(' ', 5 << 20)), Config, "may have 4194304 bytes"),
        ["a config nested a million deep"] = (Text(Config, new string('[', 1_000_000)), Config, "is not JSON"),
        ["a config that is a list"] = (Text(Config, "[]"), Config, "must be a JSON object"),
        ["a config with NaN"] = (Text(Config, """{"model_type":"llama","hidden_size":NaN}"""), Config, "is not JSON"),
        ["a config of half a surrogate pair"] = (Set("model_type", "\"\\ud800\""), Config, "no valid Unicode"),
        ["a config that links to an endless device"] = (f => { File.Delete(f[Config]); File.CreateSymbolicLink(f[Config], "/dev/zero"); }, Config, "outside of its folder"),
        ["a width of 1e308"] = (Set("hidden_size", "1e308"), "hidden_size", "from 2 to 65536"),
        ["a width of 1e999"] = (Set("hidden_size", "1e999"), "hidden_size", "from 2 to 65536"),
        ["a width below zero"] = (Set("hidden_size", "-32"), "hidden_size", "from 2 to 65536"),
        ["a width that is a text"] = (Set("hidden_size", "\"32\""), "hidden_size", "must not be a string"),
        ["a billion layers"] = (Set("num_hidden_layers", "1000000000"), "num_hidden_layers", "from 1 to 1000"),
        ["more layers than the files hold"] = (Set("num_hidden_layers", "1000"), "model.layers.2.input_layernorm.weight", "has no tensor"),
        ["a vocabulary that would not fit the memory"] = (Set("vocab_size", "10000000"), Weights, "must have the shape [10000000, 32]"),
        ["a width that would not fit the memory"] = (Set("hidden_size", "65536"), Weights, "must have the shape [50, 65536]"),
        ["a feed-forward that would not fit the memory"] = (Set("intermediate_size", "1000000"), Weights, "must have the shape [1000000, 32]"),
        ["half a layer"] = (Set("num_hidden_layers", "1.5"), "num_hidden_layers", "whole number"),
        ["an epsilon of 1e308"] = (Set("rms_norm_eps", "1e308"), "rms_norm_eps", "from 0 to 1"),
        ["positions without end"] = (Set("max_position_embeddings", "1e12"), "max_position_embeddings", "from 1 to 10000000"),
        ["a generation config that is a list"] = (Text(Generation, "[]"), Generation, "must be a JSON object"),
        ["a generation config cut in half"] = (Text(Generation, "{\"eos_token_id\":[1,"), Generation, "is not JSON"),
    };

    private readonly TemporaryFolder folder = new();

    public static TheoryData<string> Names => [.. cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_broken_model_is_refused_with_its_reason_and_little_memory(string name)
    {
        using (var model = CausalLm.Create(Tiny.Config, 3)) model.Save(folder.Path);
        var (breaks, parameter, why) = cases[name];
        breaks(folder);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var refused = Assert.Throws<InvalidInputException>(() => CausalLm.Load(folder.Path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostMemory);
        Assert.Equal((name, parameter), (name, refused.Parameter));
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer_config.json", "{", "tokenizer_config.json")]
    [InlineData("tokenizer_config.json", """{"eos_token":"\ud800"}""", "tokenizer_config.json")]
    [InlineData("tokenizer_config.json", """{"chat_template":[1]}""", "chat_template")]
    [InlineData("tokenizer_config.json", """{"chat_template":[{"name":"default","template":"\udc00"}]}""", "tokenizer_config.json")]
    [InlineData("special_tokens_map.json", "[[", "special_tokens_map.json")]
    [InlineData("chat_template.json", """{"chat_template":{}}""", "chat_template")]
    public void A_broken_file_beside_the_tokenizer_is_refused(string name, string content, string parameter)
    {
        File.WriteAllText(folder[name], content);
        Assert.Equal(parameter, Assert.Throws<InvalidInputException>(() => ChatTemplate.Load(folder.Path)?.Render(JsonSerializer.SerializeToElement(new[] { new { role = "user" } }))).Parameter);
    }

    [Fact]
    public void A_deep_or_large_file_beside_the_tokenizer_takes_little_memory()
    {
        foreach (var content in new[] { new string('[', 1_000_000), "{\"a\":\"" + new string('x', 9 << 20) + "\"}" })
        {
            File.WriteAllText(folder["tokenizer_config.json"], content);
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Equal("tokenizer_config.json", Assert.Throws<InvalidInputException>(() => ChatTemplate.Load(folder.Path)).Parameter);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostMemory);
        }
    }

    [Fact]
    public void A_link_within_the_folder_is_followed()
    {
        using (var model = CausalLm.Create(Tiny.Config, 3)) model.Save(folder.Path);
        File.Move(folder[Weights], folder["weights"]);
        File.CreateSymbolicLink(folder[Weights], "weights");
        CausalLm.Load(folder.Path).Dispose();
    }

    public void Dispose() => folder.Dispose();

    private static Action<TemporaryFolder> Cut(int length) => folder =>
    {
        using var file = File.OpenWrite(folder[Weights]);
        file.SetLength(length < 0 ? file.Length + length : length);
    };

    private static Action<TemporaryFolder> Header(ulong length) => folder =>
    {
        var start = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(start, length);
        using var file = File.OpenWrite(folder[Weights]);
        file.Write(start);
    };

    private static Action<TemporaryFolder> Json(string header, int bytes = 0) => Raw(Encoding.UTF8.GetBytes(header), bytes);

    private static Action<TemporaryFolder> Raw(byte[] header, int bytes = 0) => folder =>
    {
        var start = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(start, header.Length);
        File.WriteAllBytes(folder[Weights], [.. start, .. header, .. new byte[bytes]]);
    };

    private static Action<TemporaryFolder> Link(string target) => folder =>
    {
        File.Delete(folder[Weights]);
        File.CreateSymbolicLink(folder[Weights], target);
    };

    private static Action<TemporaryFolder> Shards(string map) => folder =>
    {
        File.Delete(folder[Weights]);
        foreach (var shard in new[] { "one", "two" })
        {
            Json("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4)(folder);
            File.Move(folder[Weights], folder[$"{shard}.safetensors"]);
        }

        File.WriteAllText(folder[Index], $$"""{"metadata":{"total_size":4},"weight_map":{{map}}}""");
    };

    private static Action<TemporaryFolder> Text(string name, string content) => folder => File.WriteAllText(folder[name], content);

    // As text, for JSON's own writer would refuse some of it.
    private static Action<TemporaryFolder> Set(string field, string value) => folder =>
    {
        var json = JsonNode.Parse(File.ReadAllText(folder[Config]))!.AsObject();
        json[field] = "HERE";
        File.WriteAllText(folder[Config], json.ToJsonString().Replace("\"HERE\"", value, StringComparison.Ordinal));
    };

    private static string One(string type, int rows, int columns) =>
        $$$"""{"model.embed_tokens.weight":{"dtype":"{{{type}}}","shape":[{{{rows}}},{{{columns}}}],"data_offsets":[0,{{{4 * rows * columns}}}]}}""";

    private static string Many(int tensors) => "{" + string.Join(',', Enumerable.Range(0, tensors).Select(i => $"\"{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}")) + "}";
}
