using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;

namespace Gradus.Training.Export;

/// <summary>A config.json that says another dtype and is else as it was.</summary>
internal static class ExportedConfig
{
    public static void Write(string from, string to, string dtype)
    {
        var json = JsonObject.Create(ModelFolder.ReadJson(from))!;
        // transformers 5 reads the one, those before it the other.
        (json["torch_dtype"], json["dtype"]) = (dtype, dtype);
        ModelFolder.WriteJson(to, JsonSerializer.SerializeToElement(json));
    }
}
