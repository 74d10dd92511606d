-- Forwards every series to heatproof once no image of it arrived for StableAge seconds, and never forwards what
-- heatproof made: results come back into the same study, and without this test they would travel in a circle.
-- A result is known by who sent it (C-STORE) or, where the sender is unknown (STOW-RS, upload), by its Manufacturer
-- and Modality (captures are OT, reports SR; heatproof's phantoms are MR and are meant to be forwarded).
-- The transfer is a job of Orthanc: see GET /jobs; after an outage of the node POST /jobs/{id}/resubmit sends it again,
-- and sending twice is harmless, for heatproof knows what it has.

local MODALITY = 'heatproof'                              -- the name in DicomModalities
local AET = os.getenv('HEATPROOF_AET') or 'HEATPROOF'     -- the node's AE title, as in orthanc.json

local RESULTS = { OT = true, SR = true }                  -- the modalities of heatproof's results

local function made_by_heatproof(tags, metadata)
  return metadata['RemoteAET'] == AET
    or (string.lower(tags['Manufacturer'] or '') == 'heatproof' and RESULTS[tags['Modality']] == true)
end

function OnStableSeries(series, tags, metadata)
  if made_by_heatproof(tags, metadata) then
    return
  end
  local request = { Resources = { series }, Synchronous = false }
  if RestApiPost('/modalities/' .. MODALITY .. '/store', DumpJson(request)) == nil then
    print('heatproof: series ' .. series .. ' was not queued for forwarding')
  end
end

function OnJobFailure(job)
  print('heatproof: job ' .. job .. ' failed; POST /jobs/' .. job .. '/resubmit runs it again')
end
